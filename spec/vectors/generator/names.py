"""The registries of section 11, read from the text, so that a vector can name a reason."""

import re
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "protocol.md").read_text(encoding="utf-8")


def rows(heading):
    """The cells of the table below a heading."""
    section = TEXT.split(f"### {heading}\n", 1)[1].split("\n#", 1)[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def numbered(heading):
    return {re.match(r"\w+", cells[1])[0]: int(cells[0]) for cells in rows(heading) if cells[0].isdigit()}


REASONS = numbered("11.3 Close reasons")
REJECT_REASONS = numbered("11.4 Reasons of REJECT")
RETRIES = {int(cells[0]): cells[2] for cells in rows("11.3 Close reasons") if cells[0].isdigit()}
NEVER = 0xFFFFFFFF


def default_retry_after(reason):
    """What CLOSE says where the application does not choose; 0 for the application's own reasons."""
    advice = RETRIES.get(reason, "0 ms")
    return NEVER if advice == "never" else int(advice.split(" ")[0].replace(",", ""))
