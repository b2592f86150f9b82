"""Which clauses of the SQL files decide who may see or change a row, and what is left of a file without one of them?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.mutants.mutant import Mutant

# whose it is, whether it is alive, and whether what was shown is what is stored
CONDITION = re.compile(
    r"""
    (?<!SET\ )\b(?:\w+\.)?user_id\ =\ (?:\$\d+|\w+\.user_id)
    | \b(?:\w+\.)?(?:revoked|disabled|deleted|history_deleted)_at\ IS\ (?:NOT\ )?NULL
    | \((?:\w+\.)?expires_at\ IS\ NULL\ OR\ (?:\w+\.)?expires_at\ >\ now\(\)\)
    | (?<!OR\ )(?<!OR\ \w\.)\b(?:\w+\.)?(?:expires_at|last_used_at)\ >\ now\(\)(?:\ -\ \$\d+::interval)?
    | (?<!SET\ )\b(?:\w+\.)?(?:\w+_hash|form_id)\ =\ (?:\$\d+|ANY\(\$\d+::bytea\[\]\)|\w+\.digest)
    """,
    re.VERBOSE,
)
COMMENT = re.compile(r"--[^\n]*")


def mutants(project: Path) -> Iterator[Mutant]:
    """Each condition in turn, for ever true. What is read of it stays, so that the statement can still be prepared."""
    for path in sorted((project / "sql").glob("*/*.sql")):
        if path.parent.name in {"migrations", "migrate"}:
            continue
        text = path.read_text(encoding="utf-8")
        comments = [match.span() for match in COMMENT.finditer(text)]
        for match in CONDITION.finditer(text):
            is_said = any(start <= match.start() < end for start, end in comments)
            # an assignment, not a condition
            if not is_said and not text[: match.start()].rstrip().endswith("SET"):
                name = str(path.relative_to(project))
                yield Mutant(name, match.start(), match.end(), f"({match[0]} OR TRUE)", f"{match[0]}, always true")
