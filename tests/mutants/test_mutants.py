"""Are the mutants what they say, and is every one that may live still there?"""

from __future__ import annotations

import ast

from tests.mutants.every import all_mutants
from tests.mutants.mutant import explained
from tests.mutants.run import PROJECT, judges_of

MUTANTS = all_mutants(PROJECT)


def test_every_mutant_differs_and_can_be_read() -> None:
    assert len(MUTANTS) > 400
    for name, mutant in MUTANTS.items():
        text = mutant.text(PROJECT)
        assert text != (PROJECT / mutant.path).read_text(encoding="utf-8"), name
        if mutant.path.endswith(".py"):
            ast.parse(text, name)


def test_every_guard_of_a_route_and_every_owner_in_the_sql_has_its_mutant() -> None:
    named = " ".join(MUTANTS)
    for name in ("require_caller", "require_token", "require_session", "require_own_page", "require_operator"):
        assert f"no guard {name}" in named
    for path in (
        "sql/tokens/authorize.sql",
        "sql/tokens/list_tokens.sql",
        "sql/keys/list_keys.sql",
        "sql/stats/sum_usage.sql",
    ):
        assert any(mutant.path == path for mutant in MUTANTS.values()), path


def test_tests_are_there_for_every_mutant() -> None:
    for mutant in MUTANTS.values():
        assert [test for test in judges_of(mutant.path) if not (PROJECT / test).exists()] == []


def test_nobody_is_excused_who_is_not_there() -> None:
    assert explained().keys() <= MUTANTS.keys()
