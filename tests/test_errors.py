"""The errors that callers can see: each has a code, a text without internals, and a line in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import errors
from app.errors import AppError

DOCUMENTED = Path("docs/api.md").read_text(encoding="utf-8")


def all_errors(kind: type[AppError] = AppError) -> list[type[AppError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in all_errors(child))]


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.__name__)
def test_code_is_documented_with_its_status(error: type[AppError]) -> None:
    rows = [line for line in DOCUMENTED.splitlines() if line.startswith("|") and f"`{error.code}`" in line]
    assert [row for row in rows if f" {error.status} " in row], (error.code, error.status)


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.__name__)
def test_public_text_is_a_sentence(error: type[AppError]) -> None:
    assert error.__doc__
    assert error.__doc__.split("\n")[0].endswith(".")


def test_challenge_names_an_error_only_when_a_credential_was_sent() -> None:
    assert errors.Unauthenticated().headers == {"WWW-Authenticate": 'Bearer realm="openrouter-watcher"'}
    sent = errors.Unauthenticated(credential_sent=True).headers["WWW-Authenticate"]
    assert sent == 'Bearer realm="openrouter-watcher", error="invalid_token"'


def test_one_wrong_field_is_told_in_the_detail_too() -> None:
    problem = errors.Invalid(("name", "is too long")).problem()
    assert problem.detail == "is too long"
    assert problem.errors == [errors.InvalidField("#/name", "is too long")]
    assert problem.type == "urn:openrouter-watcher:problem:invalid"
