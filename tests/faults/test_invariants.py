"""Does the program that judges faults see what it is there to see? Each invariant, shown something that breaks it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from app.tokens import secret
from tests.faults.invariants import (
    Expectation,
    Story,
    check_answers,
    check_meters,
    check_readiness,
    lost_writes,
    recovery_seconds,
)
from tests.faults.load import PROGRAM, READ, READYZ, Load, Request

STORY = Story(began_at=10, heals_at=20, healed_at=20, resident_mib_before=100)
STRICT = Expectation(recovers_within_seconds=5, readiness="away")
TOKEN = secret.make()
REFUSED = Request(PROGRAM, 15, 0.1, 503, has_retry_after=True)
RIGHT = [Request(PROGRAM, 5, 0.1, 200), REFUSED, Request(PROGRAM, 28, 0.1, 200), Request(READ, 28, 0.1, 200)]
READINESS = [Request(READYZ, at, 0.1, 503 if 10 <= at < 21 else 200) for at in range(30)]


def load(requests: list[Request], probes: list[Request], foreign: list[str]) -> Load:
    unused: Any = None
    return Load(unused, requests, probes, foreign=foreign)


@pytest.mark.parametrize(
    ("extra", "invariant"),
    [
        (Request(PROGRAM, 15, 0.1, 500), "I3 1 × program 500"),
        (Request(PROGRAM, 15, 0.1, 502), "I3 1 × program 502"),
        (Request(PROGRAM, 15, 0.1, 401), "I3 1 × program 401"),
        (Request(READ, 15, 0.1, 429), "I3 1 × read 429"),
        (Request(READ, 15, 0.1, 503), "I3 1 × read 503"),  # without a word about when to come back
        (Request(PROGRAM, 15, 10.0, 0, "TimeoutError"), "I3 1 × program 0 TimeoutError"),
        (Request(PROGRAM, 15, 10.5, 200), "I3 1 hung"),
        (msgspec.structs.replace(REFUSED, began_at=25.5), "I4 recovered after 5.5 s"),
    ],
)
def test_wrong_answer_is_seen(extra: Request, invariant: str) -> None:
    assert check_answers(load(RIGHT, [], []), STORY, STRICT) == []
    assert check_answers(load([*RIGHT, extra], [], []), STORY, STRICT)[0].startswith(invariant)


def test_silence_after_the_fault_is_seen() -> None:
    assert check_answers(load(RIGHT[:2], [], []), STORY, STRICT) == ["I4 nobody was answered after the fault"]


def test_figures_of_another_are_seen() -> None:
    assert check_answers(load(RIGHT, [], ["stats of bob"]), STORY, STRICT) == ["I6 stats of bob"]


def test_refusal_where_nothing_may_be_refused_is_seen() -> None:
    assert check_answers(load(RIGHT, [], []), STORY, Expectation(unavailable=False)) == ["I3 1 × program 503 "]


@pytest.mark.parametrize(("at", "status"), [(5, 503), (15, 200), (28, 503)])
def test_readiness_that_lies_is_seen(at: int, status: int) -> None:
    assert check_readiness(load([], READINESS, []), STORY, STRICT) == []
    lying = [msgspec.structs.replace(probe, status=status) if probe.began_at == at else probe for probe in READINESS]
    assert check_readiness(load([], lying, []), STORY, STRICT)[0].startswith("I9")


def test_write_that_is_lost_or_there_twice_is_seen() -> None:
    assert lost_writes({"a": 1, "b": 1}, Counter("ab")) == []
    assert lost_writes({"a": 1, "b": 1}, Counter("a")) == ["I1 generation b is not there"]
    assert lost_writes({"a": 1}, Counter("aa")) == ["I2 generation a is there 2 times"]


@pytest.mark.parametrize(("passed", "counted", "invariant"), [(3, 2, "I1"), (3, 1000, "I2")])
def test_meter_that_has_missed_somebody_or_let_in_too_many_is_seen(passed: int, counted: int, invariant: str) -> None:
    assert check_meters({TOKEN: passed}, {secret.digest(TOKEN): passed}, STRICT) == []
    [broken] = check_meters({TOKEN: passed}, {secret.digest(TOKEN): counted}, STRICT)
    assert broken.startswith(invariant)


def test_recovery_is_from_the_end_of_the_fault_to_the_last_who_was_refused() -> None:
    late = msgspec.structs.replace(REFUSED, began_at=22.5)
    assert recovery_seconds(RIGHT, 20) == 0
    assert recovery_seconds([*RIGHT, late], 20) == 2.5
