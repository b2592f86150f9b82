"""Which mutants are there?"""

from __future__ import annotations

from pathlib import Path

from tests.mutants import clauses, code
from tests.mutants.mutant import Mutant, named


def all_mutants(project: Path) -> dict[str, Mutant]:
    """Of the SQL and of the code, by name."""
    return named([*clauses.mutants(project), *code.mutants(project)])
