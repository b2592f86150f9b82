"""What will this month have cost at its end? Pure arithmetic on the days so far."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Context, Decimal, localcontext

from app.stats.structs import DayCost, Forecast

WINDOW_DAYS = 28  # four of each weekday
WEEKDAYS = 7
WEEKLY_FROM_DAYS = 2 * WEEKDAYS  # with less, a weekday's mean would be a single day
Z_80_PERCENT = Decimal("1.2816")  # the standard normal's 90th percentile: one in ten above, one in ten below
_DIGITS = Decimal("0.000001")
_PRECISE = Context(prec=80)


def forecast(today: date, costs: Sequence[DayCost]) -> Forecast:
    """What is spent, and for each day that is left the mean of its weekday in the last 28 completed days.

    Of the running day what is spent counts, or the mean where that is more. `low` and `high` come from how far the days of the
    window were from their means, as if they varied independently of each other. `costs`: one for each day, today included,
    none from before anything was known.
    """
    month_start = today.replace(day=1)
    month_end = today.replace(day=monthrange(today.year, today.month)[1])
    month = f"{today:%Y-%m}"
    window = [
        (cost.day, cost.cost)
        for cost in costs
        if today - timedelta(days=WINDOW_DAYS) <= cost.day < today and cost.cost is not None
    ]
    if not window:
        return Forecast(month, None, None, None, "none", 0)
    with localcontext(_PRECISE):
        is_weekly = len(window) >= WEEKLY_FROM_DAYS
        means = _means(window, is_weekly=is_weekly)
        in_month = {cost.day: cost.cost for cost in costs if cost.day >= month_start and cost.cost is not None}
        spent = sum(in_month.values(), Decimal(0))
        left = [today + timedelta(days=days) for days in range((month_end - today).days + 1)]
        to_come = sum((means[day.weekday()] for day in left[1:]), Decimal(0))
        to_come += max(means[today.weekday()] - in_month.get(today, Decimal(0)), Decimal(0))
        cost = spent + to_come
        deviation = _deviation(window, means, free=len(window) - (WEEKDAYS if is_weekly else 1))
        margin = None if deviation is None else Z_80_PERCENT * deviation * Decimal(len(left)).sqrt()
        return Forecast(
            month,
            cost=cost.quantize(_DIGITS),
            low=(spent if margin is None else max(cost - margin, spent)).quantize(_DIGITS),
            high=None if margin is None else (cost + margin).quantize(_DIGITS),
            method="weekday_mean" if is_weekly else "daily_mean",
            data_days=len(window),
        )


def _means(window: Sequence[tuple[date, Decimal]], *, is_weekly: bool) -> list[Decimal]:
    """By weekday, Monday first; never below 0, which corrections could bring about."""
    samples = [
        [cost for day, cost in window if not is_weekly or day.weekday() == weekday] for weekday in range(WEEKDAYS)
    ]
    of_all = sum((cost for _, cost in window), Decimal(0)) / len(window)
    return [max(sum(found, Decimal(0)) / len(found) if found else of_all, Decimal(0)) for found in samples]


def _deviation(window: Sequence[tuple[date, Decimal]], means: Sequence[Decimal], free: int) -> Decimal | None:
    """The standard deviation of a day from its mean; None where there are too few days to tell."""
    if free < 1:
        return None
    squares = sum(((cost - means[day.weekday()]) ** 2 for day, cost in window), Decimal(0))
    return (squares / free).sqrt()
