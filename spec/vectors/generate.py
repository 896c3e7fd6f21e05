#!/usr/bin/env python3
"""Writes the test vectors and the conversations of the Pulsewire specification.

    generate.py            write the JSON files beside this file and below conversations/
    generate.py --check    write nothing; print a diff and exit with 1 where a file differs

Each vector states its expected result by hand. A small receiver and a small side of a connection, written from protocol.md
alone (`generator/receiver.py`, `generator/side.py`), judge the same bytes, and nothing is written when the two disagree.
"""

import argparse
import difflib
import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from generator import (  # noqa: E402 (after the line above, on purpose)
    acknowledged_conversations, closing_conversations, control_vectors, framing_vectors, handshake_conversations,
    header_vectors, heartbeat_conversations, hello_vectors, limit_conversations, message_conversations,
    pausing_conversations,
)

DIRECTORY = Path(__file__).parent
VECTORS = {
    "header.json": header_vectors.build,
    "hello.json": hello_vectors.build,
    "framing.json": framing_vectors.build,
    "control.json": control_vectors.build,
}
CONVERSATIONS = {
    "conversations/handshake.json": handshake_conversations.build,
    "conversations/heartbeat.json": heartbeat_conversations.build,
    "conversations/pausing.json": pausing_conversations.build,
    "conversations/messages.json": message_conversations.build,
    "conversations/closing.json": closing_conversations.build,
    "conversations/limits.json": limit_conversations.build,
    "conversations/acknowledged.json": acknowledged_conversations.build,
}


def conversation_text(conversations):
    """One line for a field, and one for a step."""
    blocks = []
    for conversation in conversations:
        fields = [f"    {json.dumps(name)}: {json.dumps(value)}" for name, value in conversation.items() if name != "steps"]
        steps = ",\n".join(f"      {json.dumps(step)}" for step in conversation["steps"])
        blocks.append("  {\n" + ",\n".join([*fields, f'    "steps": [\n{steps}\n    ]']) + "\n  }")
    return "[\n" + ",\n".join(blocks) + "\n]\n"


def generate():
    texts = {name: json.dumps(build(), indent=2) + "\n" for name, build in VECTORS.items()}
    return texts | {name: conversation_text(build()) for name, build in CONVERSATIONS.items()}


def differences(path, expected):
    actual = path.read_text(encoding="ascii") if path.exists() else ""
    return list(
        difflib.unified_diff(actual.splitlines(True), expected.splitlines(True), f"{path.name} on disk", "generated")
    )


def main():
    arguments = argparse.ArgumentParser(description="Writes the test vectors of the Pulsewire specification.")
    arguments.add_argument("--check", action="store_true", help="compare with the files on disk instead")
    check = arguments.parse_args().check

    generated = {DIRECTORY / name: text for name, text in generate().items()}
    if check:
        difference = [line for path, text in generated.items() for line in differences(path, text)]
        sys.stdout.writelines(difference)
        sys.exit(1 if difference else 0)
    for path, text in generated.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="ascii", newline="\n")


if __name__ == "__main__":
    main()
