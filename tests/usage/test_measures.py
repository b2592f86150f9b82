"""Is usage added and subtracted to the last digit, and is what is not known never taken for nothing?"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from app.usage.measures import both_of, rest_of, sum_of, within
from app.usage.money import is_money
from app.usage.structs import Activity, Cell, Measures

DAY = date(2026, 11, 11)
HERE, THERE = Cell(DAY, "m", "p"), Cell(DAY, "m", "q")


def measures(requests: int | None, cost: str, byok_cost: str | None = None) -> Measures:
    byok = None if byok_cost is None else Decimal(byok_cost)
    return Measures(requests, Decimal(cost), byok, requests, requests, None, requests)


def test_sum_skips_what_is_not_known() -> None:
    assert sum_of(measures(1, "0.1", "0.2"), measures(None, "0.2", "0.1")) == measures(1, "0.3", "0.3")
    assert sum_of(measures(None, "1"), measures(None, "2")) == measures(None, "3")
    assert sum_of(measures(2, "1"), measures(3, "2", "1")) == measures(5, "3", "1")


def test_sum_keeps_every_digit() -> None:
    total = sum_of(measures(1, "999999999"), measures(1, "0.000000000000000000000000000001"))
    assert total.cost == Decimal("999999999.000000000000000000000000000001")


def test_rest_is_what_the_part_leaves_and_never_below_nothing() -> None:
    total = Activity(DAY, DAY, {HERE: measures(5, "1.5", "1"), THERE: measures(1, "1")})
    part = Activity(DAY, DAY, {HERE: measures(6, "0.25"), Cell(DAY, "other", "p"): measures(9, "9")})
    assert rest_of(total, part).cells == {HERE: measures(0, "1.25", "1"), THERE: measures(1, "1")}


def test_rest_of_what_is_not_known_is_not_known() -> None:
    total, part = Activity(DAY, DAY, {HERE: measures(None, "1")}), Activity(DAY, DAY, {HERE: measures(1, "1", "1")})
    assert rest_of(total, part).cells == {HERE: measures(None, "0")}


def test_sum_of_two_speaks_of_the_days_that_both_do() -> None:
    days = [DAY + timedelta(days=n) for n in range(4)]
    one = Activity(days[0], days[2], {Cell(day, "m", "p"): measures(1, "1") for day in days[:3]})
    other = Activity(
        days[1], days[3], {Cell(days[1], "m", "p"): measures(2, "2"), Cell(days[3], "m", "p"): measures(9, "9")}
    )
    assert both_of(one, other) == Activity(
        days[1], days[2], {Cell(days[1], "m", "p"): measures(3, "3"), Cell(days[2], "m", "p"): measures(1, "1")}
    )


def test_part_between_two_days_is_never_more_than_the_whole() -> None:
    days = [DAY + timedelta(days=n) for n in range(4)]
    whole = Activity(days[0], days[2], {Cell(day, "m", "p"): measures(1, "1") for day in days[:3]})
    assert within(whole, days[1], days[3]) == Activity(
        days[1], days[2], {Cell(day, "m", "p"): measures(1, "1") for day in days[1:3]}
    )
    assert within(whole, days[3], days[3]).cells == {}


@pytest.mark.parametrize("text", ["0", "-0.25", "999999999.999999999", "1E-30", "1e8", "12.50"])
def test_amount_is_one(text: str) -> None:
    assert is_money(Decimal(text))


@pytest.mark.parametrize(
    "text", ["NaN", "sNaN", "Infinity", "-Infinity", "1e9", "-1e9", "1e999999999", "1e-31", "0e999999", "0." + "1" * 31]
)
def test_odd_amount_is_none(text: str) -> None:
    assert not is_money(Decimal(text))
