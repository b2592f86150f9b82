"""What does a selection come to, taken apart and compared? For people: the dashboard and `GET /api/stats`."""

from __future__ import annotations

import msgspec

from app.database import Database
from app.stats import repository
from app.stats.forecast import WINDOW_DAYS, forecast
from app.stats.selection import Selection, preceding
from app.stats.structs import Overview, Period, Stats, Summary, Totals


def stats_of(totals: Totals) -> Stats:
    """As it is published."""
    return Stats(Period(totals.start_date, totals.end_date, totals.days), summary_of(totals), totals.data_as_of)


def summary_of(totals: Totals) -> Summary:
    """The sums alone."""
    return msgspec.convert(totals, Summary, from_attributes=True)


async def read_overview(db: Database, user_id: int, selection: Selection) -> Overview:
    """All of one moment. Raises NotFound or NotYours for the selection's key."""
    async with db.snapshot() as connection:
        totals = await repository.sum_usage(connection, user_id, selection)
        earlier = preceding(selection, totals.start_date, totals.end_date)
        previous = await repository.sum_usage(connection, user_id, earlier)
        by_day = await repository.list_days(connection, user_id, totals)
        by_model = await repository.list_models(connection, user_id, totals)
        by_key = await repository.list_keys(connection, user_id, totals)
        costs = await repository.list_costs(connection, user_id, totals, WINDOW_DAYS)
    stats = stats_of(totals)
    return Overview(
        period=stats.period,
        summary=stats.summary,
        data_as_of=stats.data_as_of,
        by_day=by_day,
        by_model=by_model,
        by_key=by_key,
        previous=summary_of(previous),
        forecast=forecast(totals.today, costs),
    )
