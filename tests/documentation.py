"""What do the pages promise, in a form that can be run? Their fenced blocks, one after the other.

The second word of a shell block says where it can be run: none, against a server that runs; `elsewhere`, only on a machine of its
own; any other, by the drill of that name.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from tests.processes import PROJECT

PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/*.md")])
ELSEWHERE = "elsewhere"

_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?: +(?P<place>\w+))?\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL
)


class Block(msgspec.Struct, frozen=True):
    """A fenced block of a page."""

    language: str
    place: str
    text: str


def blocks(page: Path) -> list[Block]:
    """All of them, in order."""
    text = page.read_text(encoding="utf-8")
    return [Block(found["language"], found["place"] or "", found["text"]) for found in _BLOCK.finditer(text)]


def commands(page: str, place: str = "") -> str:
    """The shell blocks of a page that are for a place, as one script; without a place its Python goes along, where it stands."""
    parts: list[str] = []
    for block in blocks(PROJECT / page):
        if block.language == "sh" and block.place == place:
            parts.append(block.text)
        elif block.language == "python" and not place:
            parts.append(f"python - <<'END_OF_PYTHON'\n{block.text}END_OF_PYTHON\n")
    return "\n".join(parts)
