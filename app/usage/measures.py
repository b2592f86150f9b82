"""How is usage added, and subtracted? Pure arithmetic in which what is not known stays so."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from app.usage.money import EXACT
from app.usage.structs import Activity, Measures

Figure = int | Decimal | None  # both of a pair are of one type


def sum_of(one: Measures, other: Measures) -> Measures:
    """A sum skips what is not known, and is not known where nothing is."""
    pairs = zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)
    return Measures(*(_sum(a, b) for a, b in pairs))


def both_of(one: Activity, other: Activity) -> Activity:
    """Of the days that both speak of."""
    first_day, last_day = max(one.first_day, other.first_day), min(one.last_day, other.last_day)
    one, other = within(one, first_day, last_day), within(other, first_day, last_day)
    common = {cell: sum_of(measures, other.cells[cell]) for cell, measures in one.cells.items() if cell in other.cells}
    return Activity(first_day, last_day, one.cells | other.cells | common)


def rest_of(total: Activity, part: Activity) -> Activity:
    """What is left when a part is taken out, cell by cell, never below 0: the two were not read at the same moment."""
    cells = {
        cell: _without(measures, part.cells[cell]) if cell in part.cells else measures
        for cell, measures in total.cells.items()
    }
    return Activity(total.first_day, total.last_day, cells)


def within(activity: Activity, first_day: date, last_day: date) -> Activity:
    """The part of it that lies between two days."""
    first_day, last_day = max(activity.first_day, first_day), min(activity.last_day, last_day)
    cells = {cell: measures for cell, measures in activity.cells.items() if first_day <= cell.day <= last_day}
    return Activity(first_day, last_day, cells)


def _without(one: Measures, other: Measures) -> Measures:
    pairs = zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)
    return Measures(*(_rest(a, b) for a, b in pairs))


def _sum(one: Figure, other: Figure) -> Any:
    if one is None or other is None:
        return other if one is None else one
    return EXACT.add(one, other) if isinstance(one, Decimal) else one + other


def _rest(one: Figure, other: Figure) -> Any:
    if one is None or other is None:
        return one
    return max(EXACT.subtract(one, other), Decimal(0)) if isinstance(one, Decimal) else max(one - other, 0)
