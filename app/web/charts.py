"""What does a chart show, and the table behind it? Costs by model, by day or in longer steps where there are many. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

import msgspec

from app.stats.structs import DayFigures, ModelDay

DAILY_UP_TO_DAYS = 92
WEEKLY_UP_TO_DAYS = 731
OTHERS = "other models"

Step = Literal["day", "week", "month"]


class Bar(msgspec.Struct, frozen=True):
    """What a step of the chart has cost: in all, and by series. `start`: its first day."""

    start: date
    total: Decimal
    parts: list[Decimal]


class Chart(msgspec.Struct, frozen=True):
    """`series`: the models, the dearest first, and the others together if there are any."""

    step: Step
    series: list[str]
    bars: list[Bar]


def stack(by_day: Sequence[DayFigures], by_model_day: Sequence[ModelDay], models: Sequence[str]) -> Chart:
    """`models`: the series, in order; what none of them has cost is the others'. What is not known costs nothing here."""
    step: Step = "day" if len(by_day) <= DAILY_UP_TO_DAYS else "week" if len(by_day) <= WEEKLY_UP_TO_DAYS else "month"
    totals: dict[date, Decimal] = {}
    for figures in by_day:
        start = _start(figures.date, step)
        totals[start] = totals.get(start, Decimal(0)) + (figures.cost or Decimal(0))
    parts = {start: dict.fromkeys(models, Decimal(0)) for start in totals}
    for cell in by_model_day:
        parts[_start(cell.date, step)][cell.model or ""] += cell.cost or Decimal(0)
    others = {start: total - sum(parts[start].values(), Decimal(0)) for start, total in totals.items()}
    has_others = any(others.values())
    return Chart(
        step,
        [*(model or "unknown model" for model in models), *([OTHERS] if has_others else [])],
        [
            Bar(start, total, [*parts[start].values(), *([others[start]] if has_others else [])])
            for start, total in totals.items()
        ],
    )


def _start(day: date, step: Step) -> date:
    """The first day of the step that a day is in; weeks begin on Monday."""
    match step:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
