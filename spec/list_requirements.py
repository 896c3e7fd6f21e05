#!/usr/bin/env python3
"""Writes requirements.json: every numbered requirement of protocol.md, for tools.

    python3 spec/list_requirements.py            write
    python3 spec/list_requirements.py --check    exit with 1 if the file is stale
"""

import json
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
LINE = re.compile(r"- \*\*(PW-[A-Z]{2,3}-\d{3})\*\* \(([A-Z ]+)\) (.+)")


def lines(text):
    """The lines of the text; one that goes on, indented, below a requirement belongs to it."""
    joined = []
    for line in text.splitlines():
        if line.startswith("  ") and joined and joined[-1].startswith("- **PW-"):
            joined[-1] += " " + line.strip()
        else:
            joined.append(line)
    return joined


def requirements(text):
    """The requirements in the order of the text, each with the heading that it stands under."""
    section = ""
    for line in lines(text):
        if line.startswith("#"):
            section = line.lstrip("#").strip()
        if found := LINE.fullmatch(line):
            identifier, level, words = found.groups()
            yield {"id": identifier, "level": level, "section": section, "text": words}


def main():
    text = (FOLDER / "protocol.md").read_text(encoding="utf-8")
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in requirements(text))
    listed = f"[\n{rows}\n]\n"
    file = FOLDER / "requirements.json"
    if sys.argv[1:] == ["--check"]:
        if not file.exists() or file.read_text(encoding="utf-8") != listed:
            sys.exit("spec/requirements.json is stale: run python3 spec/list_requirements.py")
        return
    file.write_text(listed, encoding="utf-8")


main()
