"""How are the totals of many requests read at once, on a replica that may not know the newest keys?"""

from __future__ import annotations

from collections.abc import Collection

from app.replica import Reader
from app.stats import repository
from app.stats.selection import Selection
from app.stats.structs import Totals

Asked = tuple[int, Selection]


async def sum_usages(reader: Reader, asked: Collection[Asked]) -> dict[Asked, Totals]:
    """The totals of selections of several users. Each is of one moment, with what its entity tag is made of."""
    found = await reader.read(lambda db: repository.sum_usages(db, asked))
    if reader.has_replica and (unknown := [one for one, totals in found.items() if totals.is_own_key is None]):
        found |= await reader.read_primary(lambda db: repository.sum_usages(db, unknown))
    return found
