"""Which statements do figures need?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

from app.cursors import ByCell
from app.database import Connection, Executor, Query
from app.keys import repository as keys
from app.stats.selection import Selection
from app.stats.structs import (
    DayCost,
    DayFigures,
    KeyFigures,
    KeyModelFigures,
    ModelDay,
    ModelFigures,
    Selected,
    SortedRow,
    Totals,
    UsageRow,
    UsedKey,
)

_find_selection = Query("stats/find_selection", Selected)
_sum_usage = Query("stats/sum_usage", Totals)
_list_days = Query("stats/list_days", DayFigures)
_list_models = Query("stats/list_models", ModelFigures)
_list_keys = Query("stats/list_keys", KeyFigures)
_list_costs = Query("stats/list_costs", DayCost)
_list_usage = Query("stats/list_usage", UsageRow)
_list_usage_sorted = Query("stats/list_usage_sorted", SortedRow)
_count_facts = Query("stats/count_facts", int)
_list_gauges = Query("stats/list_gauges", KeyModelFigures)
_list_model_days = Query("stats/list_model_days", ModelDay)
_list_used_models = Query("stats/list_used_models", str)
_list_used_keys = Query("stats/list_used_keys", UsedKey)


async def find_selection(db: Executor, user_id: int, selection: Selection) -> Selected:
    """What is meant, at this moment. Raises NotFound or NotYours for its key."""
    selected = await _find_selection.get(db, user_id, *_asked(selection))
    keys.require(selection.key_id, is_own=selected.is_own_key)
    return selected


async def sum_usage(db: Executor, user_id: int, selection: Selection) -> Totals:
    """The selection's totals, from one roll-up row a day. Raises NotFound or NotYours for its key."""
    [totals] = (await sum_usages(db, [(user_id, selection)])).values()
    keys.require(selection.key_id, is_own=totals.is_own_key)
    return totals


async def sum_usages(db: Executor, asked: Collection[tuple[int, Selection]]) -> dict[tuple[int, Selection], Totals]:
    """The totals of selections of several users, all of one moment. `is_own_key` tells whether a selection may be shown."""
    columns = zip(*((user_id, *_asked(selection)) for user_id, selection in asked), strict=True)
    return dict(zip(asked, await _sum_usage.fetch(db, *columns), strict=True))


async def list_days(connection: Connection, user_id: int, selected: Selected) -> list[DayFigures]:
    """Each day of the period, in order."""
    return await _list_days.fetch(connection, user_id, *_cells(selected))


async def list_models(connection: Connection, user_id: int, selected: Selected) -> list[ModelFigures]:
    """The models that were used, the dearest first."""
    return await _list_models.fetch(connection, user_id, *_cells(selected))


async def list_keys(connection: Connection, user_id: int, selected: Selected) -> list[KeyFigures]:
    """The keys that were used, the dearest first."""
    return await _list_keys.fetch(connection, user_id, *_cells(selected))


async def list_costs(connection: Connection, user_id: int, selected: Selected, days: int) -> list[DayCost]:
    """Day by day up to today, from the first of the month or `days` ago on, whichever is earlier; since anything is known."""
    return await _list_costs.fetch(connection, user_id, selected.key_id, selected.model_id, selected.today, days)


async def list_usage(
    db: Executor, user_id: int, selected: Selected, before: ByCell | None, limit: int
) -> list[UsageRow]:
    """The usage that follows a place in the list, newest day first."""
    place = (before.day, before.key_id, before.model_id, before.provider_id) if before else (None, None, None, None)
    return await _list_usage.fetch(db, user_id, *_cells(selected), *place, limit)


async def count_facts(db: Executor, user_id: int, selected: Selected) -> int:
    """How many rows sorting the selection would have to read."""
    return await _count_facts.get(db, user_id, *_cells(selected))


async def list_usage_sorted(
    db: Executor, user_id: int, selected: Selected, sort: str, offset: int, limit: int, *, descending: bool
) -> list[SortedRow]:
    """Any page in the order of any column, what is not known last; the whole selection is read for it."""
    return await _list_usage_sorted.fetch(db, user_id, *_cells(selected), sort, descending, offset, limit)


async def list_model_days(
    connection: Connection, user_id: int, selected: Selected, models: Sequence[str | None]
) -> list[ModelDay]:
    """What some models have cost by day, without the days on which they were not used."""
    slugs = [model or "" for model in models]
    return await _list_model_days.fetch(
        connection, user_id, selected.key_id, slugs, selected.start_date, selected.end_date
    )


async def list_used_models(db: Executor, user_id: int, limit: int) -> list[str]:
    """The models that were ever used, the dearest first."""
    return await _list_used_models.fetch(db, user_id, limit)


async def list_used_keys(db: Executor, user_id: int, limit: int) -> list[UsedKey]:
    """The keys that were ever used, the dearest first."""
    return await _list_used_keys.fetch(db, user_id, limit)


async def list_gauges(db: Executor, user_id: int) -> list[KeyModelFigures]:
    """By key and model: today, this month, and all time."""
    return await _list_gauges.fetch(db, user_id)


def _asked(selection: Selection) -> tuple[object, ...]:
    return selection.key_id, selection.model, selection.days, selection.start_date, selection.end_date


def _cells(selected: Selected) -> tuple[int, int, date, date]:
    return selected.key_id, selected.model_id, selected.start_date, selected.end_date
