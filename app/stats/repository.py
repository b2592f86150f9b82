"""Which statements do totals need?"""

from __future__ import annotations

from app.database import Executor, Query
from app.keys import repository as keys
from app.stats.selection import Selection
from app.stats.structs import Totals

_sum_usage = Query("stats/sum_usage", Totals)


async def sum_usage(db: Executor, user_id: int, selection: Selection) -> Totals:
    """The selection's totals, from one roll-up row a day. Raises NotFound or NotYours for its key."""
    if selection.key_id is not None:
        await keys.require_own(db, selection.key_id, user_id)
    return await _sum_usage.get(
        db, user_id, selection.key_id, selection.model, selection.days, selection.start_date, selection.end_date
    )
