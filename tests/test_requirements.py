"""Is what we install what we mean to: pinned, not older than it may be, and with nothing that runs by itself?"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.processes import PROJECT

FOLDER = PROJECT / "requirements"
LOCKS = sorted(FOLDER.glob("*.lock"))
LOCK_IDS = [lock.name for lock in LOCKS]


def pinned(lock: Path) -> dict[str, str]:
    """Versions by name."""
    return dict(
        re.findall(
            r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==([^ ;\\]+)", lock.read_text(encoding="utf-8"), re.MULTILINE
        )
    )


def floors() -> list[Requirement]:
    """What may not be older."""
    lines = [
        line.partition("#")[0].strip() for line in (FOLDER / "floors.txt").read_text(encoding="utf-8").splitlines()
    ]
    return [Requirement(line) for line in lines if line]


@pytest.mark.parametrize("lock", LOCKS, ids=LOCK_IDS)
def test_nothing_is_older_than_it_may_be(lock: Path) -> None:
    versions = pinned(lock)
    assert len(versions) == len(re.findall(r"^[a-z0-9][^ ]*==", lock.read_text(encoding="utf-8"), re.MULTILINE))
    assert [
        f"{floor.name} {versions[floor.name]}"
        for floor in floors()
        if floor.name in versions and versions[floor.name] not in floor.specifier
    ] == []


def test_every_floor_is_under_something() -> None:
    known = {name for lock in LOCKS for name in pinned(lock)}
    assert {floor.name for floor in floors()} <= known


@pytest.mark.parametrize("lock", LOCKS, ids=LOCK_IDS)
def test_every_package_has_its_hashes_and_names_no_host(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert len(pinned(lock)) == len(re.findall(r"^[a-z0-9][^\n]*\\\n +--hash=sha256:", text, re.MULTILINE))
    assert "://" not in re.sub(r"#.*", "", text)


def test_nothing_of_the_service_runs_before_it() -> None:
    """A .pth file may hold code that every start of Python runs: that is how stolen packages have struck."""
    looked_at = 0
    for name in pinned(FOLDER / "embedded.lock"):
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            continue  # for another platform
        looked_at += 1
        assert [str(file) for file in files if file.suffix == ".pth"] == [], name
    assert looked_at > 20
