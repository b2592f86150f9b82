"""How is a selection read whole, whatever its size? In pages of short statements: nothing is held while a reader waits."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from app.cursors import ByCell
from app.database import Database
from app.stats import repository
from app.stats.structs import Selected, UsageRow

PAGE_ROWS = 1000  # a statement of some 10 ms, and a few in which nobody else is answered; larger ones are hardly faster


async def usage_pages(db: Database, user_id: int, selected: Selected) -> AsyncGenerator[list[UsageRow]]:
    """Newest day first. Each page is of its own moment: a row that stays is given once, whatever comes or goes meanwhile."""
    place: ByCell | None = None
    while True:
        rows = await repository.list_usage(db, user_id, selected, place, PAGE_ROWS)
        if rows:
            yield rows
        if len(rows) < PAGE_ROWS:
            return
        place = place_of(rows[-1], selected)


def place_of(row: UsageRow, selected: Selected) -> ByCell:
    """Where the next page goes on."""
    return ByCell(selected.start_date, selected.end_date, row.date, row.key_id, row.model_id, row.provider_id)
