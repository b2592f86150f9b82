"""Which mutants live? `python -m tests.mutants`, or with a part of their names.

`--results FILE` keeps what is known, so that a run that was stopped goes on where it was, and each finds out more.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click

from app import embedded
from tests.conftest import FAST, memory_folder
from tests.mutants.every import all_mutants
from tests.mutants.mutant import explained
from tests.mutants.run import PROJECT, Verdict, judge, judges_of, sound

# what the tests import anyway: once for all of them
HEAVY = (
    "litestar",
    "asyncpg",
    "httpx",
    "hypothesis",
    "jinja2",
    "structlog",
    "granian",
    "cryptography.hazmat.primitives",
)
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".data", "node_modules", "__pycache__")


@click.command()
@click.argument("part", default="")
@click.option(
    "--results", type=click.Path(path_type=Path), help="Results are added here; what is in it is not tried again."
)
@click.option("--trusting", is_flag=True, help="The tests are known to be green without any mutant.")
def main(part: str, results: Path | None, *, trusting: bool) -> None:
    """Exits with 1 when a mutant lives that tests/mutants/survivors.md does not explain."""
    tried = judged_before(results) if results else set()
    mutants = {name: mutant for name, mutant in all_mutants(PROJECT).items() if part in name and name not in tried}
    for name in HEAVY:
        importlib.import_module(name)
    fates: Counter[str] = Counter()
    unexplained: list[str] = []
    began = time.monotonic()
    with workplace() as copy:
        if not trusting:
            require_green({test for mutant in mutants.values() for test in judges_of(mutant.path)}, copy)
        for number, (name, mutant) in enumerate(mutants.items(), 1):
            verdict = judge(mutant, copy)
            fates[verdict.fate] += 1
            click.echo(f"{number}/{len(mutants)} {verdict.fate} in {verdict.seconds:.0f} s: {name}")
            if results:
                note(results, name, verdict)
            if verdict.fate != "killed" and name not in explained():
                unexplained.append(name)
    click.echo(f"{dict(fates)} in {(time.monotonic() - began) / 60:.0f} minutes")
    for name in unexplained:
        click.echo(f"lives or was not judged, and nobody says why: {name}", err=True)
    sys.exit(bool(unexplained))


def require_green(tests: set[str], copy: Path) -> None:
    """A test that is red anyway would kill every mutant."""
    said = sound(sorted(tests), copy)
    if said is not None:
        raise click.ClickException(f"Red without any mutant:\n{said}")


def judged_before(results: Path) -> set[str]:
    """Their names."""
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return {line.split("\t")[1] for line in lines}


def note(results: Path, name: str, verdict: Verdict) -> None:
    """A line with tabs: what became of it, its name, and which test turned red."""
    with results.open("a", encoding="utf-8") as file:
        file.write(f"{verdict.fate}\t{name}\t{verdict.red}\n")


@contextmanager
def workplace() -> Generator[Path]:
    """A copy of the checkout, and a database server for all runs."""
    with tempfile.TemporaryDirectory(prefix="watcher-mutants-", dir=memory_folder()) as name:
        folder = Path(name)
        folder.chmod(0o711)  # as root the server runs under another user
        copy = folder / "project"
        shutil.copytree(PROJECT, copy, ignore=NOT_COPIED)
        with embedded.running(folder, settings=FAST) as place:
            os.environ["TEST_DATABASE_URL"] = place.url
            yield copy


if __name__ == "__main__":
    main()
