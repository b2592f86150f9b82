"""What does a person want to see first? The overview of a period, and beside it today, this month, and the days by model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from app.database import Database
from app.keys.structs import KeyEntry
from app.stats import repository
from app.stats.forecast import WINDOW_DAYS
from app.stats.overview import read_overview, summary_of
from app.stats.runway import Runway, runways
from app.stats.selection import Selection, select
from app.stats.structs import ModelDay, Overview, Summary

STACKED_MODELS_MAX = 8  # of which a chart can still tell the colours apart


class Spending(msgspec.Struct, frozen=True):
    """`by_model_day`: of the dearest models of the period, STACKED_MODELS_MAX at most."""

    overview: Overview
    today: Summary
    month: Summary
    by_model_day: list[ModelDay]


async def read_spending(db: Database, user_id: int, selection: Selection) -> Spending:
    """Raises NotFound or NotYours for the selection's key."""
    overview = await read_overview(db, user_id, selection)
    dearest = [figures.model for figures in overview.by_model if figures.cost][:STACKED_MODELS_MAX]
    async with db.snapshot() as connection:
        of_today = select(1, None, None, selection.key_id, selection.model)
        today = await repository.sum_usage(connection, user_id, of_today)
        of_month = selection.within(today.today.replace(day=1), today.today)
        month = await repository.sum_usage(connection, user_id, of_month)
        period = selection.within(overview.period.start_date, overview.period.end_date)
        selected = await repository.find_selection(connection, user_id, period)
        by_model_day = await repository.list_model_days(connection, user_id, selected, dearest)
    return Spending(overview, summary_of(today), summary_of(month), by_model_day)


async def read_runways(db: Database, user_id: int, keys: Sequence[KeyEntry]) -> list[Runway]:
    """For how long the credits of each account last, by its last completed days; `keys` are all of the user's."""
    if not any(key.account for key in keys):
        return []
    async with db.snapshot() as connection:
        today = await repository.find_selection(connection, user_id, select(1, None, None, None, None))
        yesterday = today.today - timedelta(days=1)
        window = select(None, today.today - timedelta(days=WINDOW_DAYS), yesterday, None, None)
        selected = await repository.find_selection(connection, user_id, window)
        by_key = await repository.list_keys(connection, user_id, selected)
        known = [cost.day for cost in await repository.list_costs(connection, user_id, today, WINDOW_DAYS)]
    completed = sum(1 for day in known if selected.start_date <= day <= selected.end_date)
    return runways(keys, by_key, completed)
