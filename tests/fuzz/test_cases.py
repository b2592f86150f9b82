"""Does what the fuzzers once found stay mended, and do their targets take what they begin with?"""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.fuzz import TARGETS

CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_findings_end_as_documented(name: str) -> None:
    target = importlib.import_module(f"tests.fuzz.{name}")
    for seed in target.SEEDS:
        target.feed(seed)
        target.feed(seed[: len(seed) // 2])
    for case in sorted((CASES / name).glob("*")):
        target.feed(case.read_bytes())
