"""Is the right period selected, and nonsense refused?"""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from app.errors import Invalid
from app.stats.selection import Selection, select

START, END = date(2026, 8, 1), date(2026, 8, 24)


def refused(days: int | None, start_date: date | None, end_date: date | None) -> list[str]:
    """The fields that are named."""
    with pytest.raises(Invalid) as caught:
        select(days, start_date, end_date, None, None)
    return [error.pointer for error in caught.value.errors]


def test_thirty_days_are_selected_where_nothing_is_said() -> None:
    assert select(None, None, None, None, None) == Selection(30, None, None)


def test_days_are_taken_as_given() -> None:
    for days in (1, 7, 3660):
        assert select(days, None, None, None, None) == Selection(days, None, None)


def test_dates_are_taken_as_given() -> None:
    assert select(None, START, END, None, None) == Selection(None, START, END)
    assert select(None, START, START, None, None) == Selection(None, START, START)


def test_key_and_model_are_kept() -> None:
    assert select(7, None, None, 3, "m") == Selection(7, None, None, 3, "m")
    assert select(None, START, END, 3, "") == Selection(None, START, END, 3, "")


@pytest.mark.parametrize(("start", "end"), [(START, END), (START, None), (None, END), (END, START)])
def test_days_and_dates_contradict_each_other(start: date | None, end: date | None) -> None:
    assert refused(7, start, end) == ["#/days"]


def test_one_date_alone_is_refused_and_the_other_one_named() -> None:
    assert refused(None, START, None) == ["#/end_date"]
    assert refused(None, None, END) == ["#/start_date"]


def test_dates_must_be_in_order() -> None:
    assert refused(None, END, START) == ["#/end_date"]
    assert refused(None, date.max, date.min) == ["#/end_date"]


def test_period_has_at_most_3660_days_with_both_ends() -> None:
    last = START + timedelta(days=3659)
    assert select(None, START, last, None, None).end_date == last
    assert refused(None, START, last + timedelta(days=1)) == ["#/end_date"]
    assert refused(None, date.min, date.max) == ["#/end_date"]


def test_days_lie_in_years_that_can_have_usage() -> None:
    first, last = date(1900, 1, 1), date(2999, 12, 31)
    for day in (first, last):
        assert select(None, day, day, None, None) == Selection(None, day, day)
    for before, after, field in (
        (first - timedelta(days=1), first, "#/start_date"),
        (last, last + timedelta(days=1), "#/end_date"),
        (date.min, date.min, "#/start_date"),
        (date.max, date.max, "#/start_date"),
    ):
        assert refused(None, before, after) == [field]
