"""What is a mutant? A file of ours in which one thing is other than it should be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec

SURVIVORS = Path(__file__).parent / "survivors.md"


class Mutant(msgspec.Struct, frozen=True):
    """`start` and `end`: the place in the file's text; `what`: how it differs, which stays the same when lines move."""

    path: str
    start: int
    end: int
    replacement: str
    what: str

    def text(self, project: Path) -> str:
        """Of the file as this mutant has it; `project`: where the file is as it was when the mutant was made."""
        text = (project / self.path).read_text(encoding="utf-8")
        return text[: self.start] + self.replacement + text[self.end :]


def named(mutants: Iterable[Mutant]) -> dict[str, Mutant]:
    """By file and difference; where several read alike they are numbered in their order."""
    found: dict[str, Mutant] = {}
    for mutant in mutants:
        name, number = f"{mutant.path}: {mutant.what}", 2
        while name in found:
            name, number = f"{mutant.path}: {mutant.what} ({number})", number + 1
        found[name] = mutant
    return found


@cache
def explained() -> dict[str, str]:
    """Why some may live, by their names: the lines of survivors.md."""
    return dict(re.findall(r"^- `(.+)`: (.+)$", SURVIVORS.read_text(encoding="utf-8"), re.MULTILINE))
