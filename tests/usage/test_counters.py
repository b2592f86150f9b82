"""What do the counters of a key tell about its days? Whatever is read, nothing is lost and nothing invented."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.keys.structs import Counter
from app.usage.counters import Growth, Reading, growth_between

MONDAY = date(2026, 11, 2)
ZERO = Decimal(0)


def reading(day: int, total: str, today: str, byok_total: str = "0", byok_today: str = "0") -> Reading:
    """On the n-th day; amounts in dollars."""
    return Reading(
        MONDAY + timedelta(days=day),
        Counter(Decimal(total), Decimal(today)),
        Counter(Decimal(byok_total), Decimal(byok_today)),
    )


def booked(*readings: Reading) -> dict[int, str]:
    """Cost by the n-th day, after all of them."""
    costs: dict[int, Decimal] = defaultdict(Decimal)
    previous = None
    for now in readings:
        day, growths = growth_between(previous, now)
        for growth in growths:
            costs[(growth.day - MONDAY).days] += growth.cost
        previous = Reading(day, now.cost, now.byok)
    return {day: str(cost.normalize()) for day, cost in sorted(costs.items()) if cost}


def test_first_reading_counts_its_own_day_and_nothing_before() -> None:
    assert booked(reading(0, "100.5", "0.5")) == {0: "0.5"}


def test_growth_within_a_day_is_that_day_s() -> None:
    assert booked(reading(0, "10", "1"), reading(0, "10.25", "1.25")) == {0: "1.25"}


def test_midnight_is_found_by_the_day_s_counter() -> None:
    assert booked(reading(0, "10", "1"), reading(1, "10.75", "0.5")) == {0: "1.25", 1: "0.5"}


def test_several_unread_days_are_split_and_marked() -> None:
    _, growths = growth_between(reading(0, "10", "1"), reading(4, "14.5", "0.5"))
    assert [(g.day - MONDAY).days for g in growths] == [0, 1, 2, 3, 4]
    assert [g.is_estimated for g in growths] == [True, True, True, True, False]
    assert [g.cost for g in growths] == [1, 1, 1, 1, Decimal("0.5")]


def test_split_that_does_not_come_out_even_loses_nothing() -> None:
    _, growths = growth_between(reading(0, "0", "0"), reading(7, "0.000000001", "0"))
    assert sum(g.cost for g in growths) == Decimal("0.000000001")
    assert all(g.cost >= 0 for g in growths)


def test_falling_counter_is_a_correction_of_the_day_it_was_seen() -> None:
    assert booked(reading(0, "10", "2"), reading(0, "7", "2")) == {0: "-1"}
    assert booked(reading(0, "10", "2"), reading(3, "7", "0")) == {0: "2", 3: "-3"}
    # also of all that was spent on the day before, by as much as the day's counter has fallen by itself
    assert booked(reading(0, "10", "2"), reading(1, "8", "0")) == {0: "2", 1: "-2"}
    assert booked(reading(0, "10", "2"), reading(1, "8.5", "0.5")) == {0: "2", 1: "-1.5"}


def test_counter_of_the_day_that_has_not_rolled_over_yet_speaks_of_yesterday() -> None:
    assert booked(reading(0, "10", "2"), reading(1, "10.5", "2.5"), reading(1, "10.75", "0.25")) == {
        0: "2.5",
        1: "0.25",
    }


def test_what_the_lifetime_counter_learns_late_is_yesterday_s() -> None:
    assert booked(reading(0, "10", "2"), reading(1, "10", "0"), reading(1, "10.5", "0.125")) == {0: "2.375", 1: "0.125"}


def test_clock_that_goes_back_does_not_write_the_past_anew() -> None:
    assert booked(reading(1, "10", "2"), reading(0, "11", "3")) == {1: "3"}


def test_own_provider_s_money_is_counted_by_itself() -> None:
    _, growths = growth_between(reading(0, "1", "1", "5", "0"), reading(1, "1", "0", "6", "0.25"))
    assert [(g.cost, g.byok) for g in growths] == [(ZERO, Decimal("0.75")), (ZERO, Decimal("0.25"))]


AMOUNT = st.decimals(min_value=0, max_value=1000, places=9)


@given(st.lists(st.tuples(st.integers(0, 6), AMOUNT, AMOUNT, AMOUNT, AMOUNT), min_size=1, max_size=12))
def test_days_add_up_to_the_growth_whatever_is_read(
    steps: list[tuple[int, Decimal, Decimal, Decimal, Decimal]],
) -> None:
    """Even nonsense: totals that fall, days' counters that have nothing to do with them."""
    day, previous, first = MONDAY, None, None
    cost, byok = ZERO, ZERO
    for ahead, total, today, byok_total, byok_today in steps:
        day += timedelta(days=ahead)
        now = Reading(day, Counter(total, today), Counter(byok_total, byok_today))
        first = first or now
        spoken_of, growths = growth_between(previous, now)
        assert all(growth.day <= day for growth in growths)
        cost += sum((growth.cost for growth in growths), ZERO)
        byok += sum((growth.byok for growth in growths), ZERO)
        previous = Reading(spoken_of, now.cost, now.byok)
    assert first
    assert previous
    assert cost == previous.cost.total - first.cost.total + min(first.cost.today, first.cost.total)
    assert byok == previous.byok.total - first.byok.total + min(first.byok.today, first.byok.total)


@given(
    st.lists(st.tuples(st.integers(0, 30), AMOUNT), min_size=1, max_size=40),
    st.sets(st.integers(0, 31), min_size=1).map(sorted),
)
def test_days_are_exact_where_each_day_is_read(spent: list[tuple[int, Decimal]], reads: list[int]) -> None:
    """Reads at noon of some days; usage before noon. Every day that was read, as the one before it, is known exactly."""
    truth: dict[int, Decimal] = defaultdict(Decimal)
    for day, amount in spent:
        truth[day] += amount
    known: dict[int, Growth] = {}
    previous = None
    for day in reads:
        total = sum((amount for spent_on, amount in truth.items() if spent_on <= day), ZERO)
        now = Reading(MONDAY + timedelta(days=day), Counter(total, truth[day]), Counter(ZERO, ZERO))
        speaks_of, growths = growth_between(previous, now)
        assert speaks_of == now.day or truth[day] == 0 or previous is not None
        known |= {(growth.day - MONDAY).days: growth for growth in growths if growth.day == now.day}
        previous = Reading(speaks_of, now.cost, now.byok)
    for day in reads:
        if day in known:
            assert known[day].cost == truth[day]


@pytest.mark.parametrize("gap", [1, 2, 40, 400])
def test_no_day_of_a_gap_is_left_out(gap: int) -> None:
    _, growths = growth_between(reading(0, "1", "1"), reading(gap, "2", "0"))
    assert [(growth.day - MONDAY).days for growth in growths] == list(range(gap + 1))
