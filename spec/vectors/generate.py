#!/usr/bin/env python3
"""Writes the test vectors of the Pulsewire specification.

    generate.py            write header.json, hello.json and framing.json beside this file
    generate.py --check    write nothing; print a diff and exit with 1 where a file differs

Each vector states its expected result by hand. A small receiver written from protocol.md alone
(`generator/receiver.py`) judges the same bytes, and nothing is written when the two disagree.
"""

import argparse
import difflib
import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from generator import control_vectors, framing_vectors, header_vectors, hello_vectors  # noqa: E402 (after the line above, on purpose)

DIRECTORY = Path(__file__).parent
FILES = {
    "header.json": header_vectors.build,
    "hello.json": hello_vectors.build,
    "framing.json": framing_vectors.build,
    "control.json": control_vectors.build,
}


def differences(path, expected):
    actual = path.read_text(encoding="ascii") if path.exists() else ""
    return list(
        difflib.unified_diff(actual.splitlines(True), expected.splitlines(True), f"{path.name} on disk", "generated")
    )


def main():
    arguments = argparse.ArgumentParser(description="Writes the test vectors of the Pulsewire specification.")
    arguments.add_argument("--check", action="store_true", help="compare with the files on disk instead of writing")
    check = arguments.parse_args().check

    generated = {DIRECTORY / name: json.dumps(build(), indent=2) + "\n" for name, build in FILES.items()}
    if check:
        difference = [line for path, text in generated.items() for line in differences(path, text)]
        sys.stdout.writelines(difference)
        sys.exit(1 if difference else 0)
    for path, text in generated.items():
        path.write_text(text, encoding="ascii", newline="\n")


if __name__ == "__main__":
    main()
