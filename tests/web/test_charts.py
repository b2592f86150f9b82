"""Does the chart, and the table behind it, add up whatever the period?"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from app.stats.structs import DayFigures, ModelDay
from app.web.charts import OTHERS, stack

FIRST = date(2026, 1, 1)  # a Thursday


def day(number: int, cost: str | None) -> DayFigures:
    return DayFigures(
        date=FIRST + timedelta(days=number), cost=None if cost is None else Decimal(cost), byok_cost=None, requests=None,
        tokens_input=None, tokens_output=None, tokens_reasoning=None, tokens_cached=None,
    )  # fmt: skip


def cell(number: int, model: str | None, cost: str) -> ModelDay:
    return ModelDay(FIRST + timedelta(days=number), model, Decimal(cost))


def test_what_the_named_models_have_not_cost_is_the_others() -> None:
    chart = stack([day(0, "3"), day(1, "1")], [cell(0, "a", "2"), cell(1, "a", "1")], ["a"])
    assert (chart.step, chart.series) == ("day", ["a", OTHERS])
    assert [bar.parts for bar in chart.bars] == [[Decimal(2), Decimal(1)], [Decimal(1), Decimal(0)]]


def test_without_others_there_is_no_series_for_them() -> None:
    chart = stack([day(0, "3"), day(1, None)], [cell(0, None, "3")], [""])
    assert chart.series == ["unknown model"]
    assert [bar.total for bar in chart.bars] == [Decimal(3), Decimal(0)]


@pytest.mark.parametrize(("days", "step"), [(92, "day"), (93, "week"), (731, "week"), (732, "month")])
def test_long_periods_have_longer_steps_and_the_same_sum(days: int, step: str) -> None:
    chart = stack(
        [day(number, "1") for number in range(days)], [cell(number, "a", "1") for number in range(days)], ["a"]
    )
    assert chart.step == step
    assert sum(bar.total for bar in chart.bars) == days
    assert all(sum(bar.parts) == bar.total for bar in chart.bars)
    starts = [bar.start for bar in chart.bars]
    assert starts == sorted(set(starts))
    if step == "week":
        assert all(start.weekday() == 0 for start in starts)
    if step == "month":
        assert all(start.day == 1 for start in starts)
