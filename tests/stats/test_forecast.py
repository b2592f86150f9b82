"""Is the forecast what can be reckoned by hand, on series whose answer is known?"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.stats.forecast import forecast
from app.stats.structs import DayCost, Forecast

WEDNESDAY = date(2026, 11, 11)
ONE, ZERO = Decimal(1), Decimal(0)


def series(
    today: date, days: int, cost: Callable[[date], Decimal | None], so_far: Decimal | None = ZERO
) -> list[DayCost]:
    """`days` completed days, and what was spent today."""
    past = [today - timedelta(days=back) for back in range(days, 0, -1)]
    return [*(DayCost(day, cost(day)) for day in past), DayCost(today, so_far)]


def left_of(today: date) -> list[date]:
    """The days of the month after today."""
    last = monthrange(today.year, today.month)[1]
    return [today.replace(day=day) for day in range(today.day + 1, last + 1)]


# --- nothing to go by


def test_without_data_there_is_no_forecast() -> None:
    nothing = Forecast("2026-11", None, None, None, "none", 0)
    assert forecast(WEDNESDAY, []) == nothing
    assert forecast(WEDNESDAY, [DayCost(WEDNESDAY, ONE)]) == nothing
    assert forecast(WEDNESDAY, series(WEDNESDAY, 28, lambda _: None)) == nothing


def test_one_day_gives_a_mean_and_no_upper_bound() -> None:
    result = forecast(WEDNESDAY, series(WEDNESDAY, 1, lambda _: Decimal(3)))
    # 3 on the 10th, and 3 on each of the 20 days from the 11th to the 30th
    assert (result.cost, result.low, result.high) == (63, 3, None)
    assert (result.method, result.data_days) == ("daily_mean", 1)


# --- flat


@pytest.mark.parametrize("days", [2, 13, 14, 28, 45])
@pytest.mark.parametrize(
    "today", [WEDNESDAY, date(2026, 11, 2), date(2026, 11, 30), date(2024, 2, 20), date(2026, 12, 31)]
)
def test_same_cost_every_day_goes_on(today: date, days: int) -> None:
    result = forecast(today, series(today, days, lambda _: Decimal("0.1"), Decimal("0.04")))
    known = min(days, today.day - 1)
    # the days of this month that are known, today at its mean, and the rest; nothing varies, so nothing is uncertain
    expected = Decimal("0.1") * (known + 1 + len(left_of(today)))
    assert (result.cost, result.low, result.high) == (expected, expected, expected)
    assert result.method == ("weekday_mean" if days >= 14 else "daily_mean")
    assert result.data_days == min(days, 28)
    assert result.month == f"{today:%Y-%m}"


def test_today_counts_with_what_it_has_cost_already_if_that_is_more_than_its_mean() -> None:
    result = forecast(WEDNESDAY, series(WEDNESDAY, 28, lambda _: ONE, Decimal(50)))
    assert result.cost == 10 + 50 + 19


def test_nothing_spent_is_nothing_to_come() -> None:
    result = forecast(WEDNESDAY, series(WEDNESDAY, 28, lambda _: ZERO))
    assert (result.cost, result.low, result.high, result.data_days) == (0, 0, 0, 28)


# --- weekly pattern


def weekly(day: date) -> Decimal:
    """Monday 1, Tuesday 2, … and nothing at the weekend."""
    return Decimal(day.weekday() + 1 if day.weekday() < 5 else 0)


@pytest.mark.parametrize("day", range(1, 31))
@pytest.mark.parametrize("days", [14, 28])
def test_weekly_pattern_goes_on(day: int, days: int) -> None:
    today = date(2026, 11, day)
    result = forecast(today, series(today, max(days, day - 1), weekly))
    # what is spent, and each day that is left as its weekday always was: known without a word about means
    assert result.cost == sum(weekly(date(2026, 11, number)) for number in range(1, 31))
    assert (result.low, result.high, result.method) == (result.cost, result.cost, "weekday_mean")


def test_only_the_last_28_completed_days_count() -> None:
    long_ago = WEDNESDAY - timedelta(days=29)
    costs = [DayCost(long_ago - timedelta(days=back), Decimal(1000)) for back in range(100)]
    assert forecast(WEDNESDAY, [*costs, *series(WEDNESDAY, 28, lambda _: ONE)]).cost == 30


# --- the first day of a month


def test_on_the_first_day_of_a_month_the_months_before_tell() -> None:
    today = date(2026, 12, 1)
    result = forecast(today, series(today, 28, lambda _: Decimal(2)))
    assert (result.month, result.cost, result.data_days) == ("2026-12", 62, 28)
    assert forecast(today, series(today, 28, lambda _: Decimal(2), Decimal(5))).cost == 65


# --- uncertainty, by hand


def test_bounds_are_the_normal_distribution_s_tenths() -> None:
    # ten days that alternate between 1 and 3: mean 2, standard deviation sqrt(10 / 9); 20 days are left, today among them
    result = forecast(WEDNESDAY, series(WEDNESDAY, 10, lambda day: Decimal(1 if day.day % 2 else 3)))
    margin = 1.2816 * (10 / 9) ** 0.5 * 20**0.5
    assert result.cost == 20 + 2 * 20
    assert float(result.low or 0) == pytest.approx(60 - margin, abs=1e-6)
    assert float(result.high or 0) == pytest.approx(60 + margin, abs=1e-6)


def test_it_will_not_be_less_than_what_is_spent() -> None:
    # twelve days of nothing and one of 130: mean 10, with a deviation so large that two days could be far below 0
    today = date(2026, 11, 29)
    result = forecast(today, series(today, 13, lambda day: Decimal(130 if day.day == 20 else 0)))
    assert (result.low, result.cost) == (130, 130 + 2 * 10)


# --- gaps and corrections


def test_days_that_are_not_known_are_left_out_of_the_mean() -> None:
    result = forecast(WEDNESDAY, series(WEDNESDAY, 28, lambda day: ONE if day.day % 2 else None))
    assert (result.data_days, result.method) == (14, "weekday_mean")
    # five of the ten days so far are known, and 20 are left
    assert result.cost == 5 + 20


def test_weekday_that_was_never_known_is_like_the_others() -> None:
    result = forecast(WEDNESDAY, series(WEDNESDAY, 28, lambda day: None if day.weekday() == 6 else Decimal(2)))
    sundays = sum(day.weekday() == 6 for day in left_of(WEDNESDAY))
    assert sundays == 3
    assert (
        result.cost == 2 * 8 + 2 * 20
    )  # two Sundays of this month are not known, the three to come cost as much as other days


def test_corrections_do_not_forecast_a_refund() -> None:
    result = forecast(WEDNESDAY, series(WEDNESDAY, 28, lambda _: Decimal(-1)))
    assert result.cost == -10


COST = st.none() | st.decimals(min_value=0, max_value=10**6, places=9)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.lists(COST, max_size=60))
def test_forecast_lies_between_its_bounds_and_not_below_what_is_spent(
    today: date, costs: Sequence[Decimal | None]
) -> None:
    given_costs = [DayCost(today - timedelta(days=back), cost) for back, cost in enumerate(costs)]
    result = forecast(today, given_costs)
    spent = sum(
        cost.cost
        for cost in given_costs
        if cost.cost is not None and (cost.day.year, cost.day.month) == (today.year, today.month)
    )
    if result.method == "none":
        assert result.data_days == 0
        return
    assert result.cost is not None
    assert result.low is not None
    slack = Decimal("0.000001")
    assert spent - slack <= result.low <= result.cost
    assert result.high is None or result.cost <= result.high
