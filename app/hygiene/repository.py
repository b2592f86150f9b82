"""Which statements do findings need?"""

from __future__ import annotations

from decimal import Decimal

from app.database import Executor, Query
from app.hygiene.advice import EXPIRING_DAYS, FULL_PERCENT, IDLE_DAYS, advise, most_urgent_first
from app.hygiene.structs import FoundRow, Hygiene

_list_key_findings = Query("hygiene/list_key_findings", FoundRow)
_list_token_findings = Query("hygiene/list_token_findings", FoundRow)


async def find_findings(db: Executor, user_id: int, limit: int) -> Hygiene:
    """What should be done about a user's keys and tokens; of each kind of finding the first `limit` it applies to."""
    full_share = Decimal(FULL_PERCENT) / 100
    about_keys = await _list_key_findings.fetch(db, user_id, IDLE_DAYS, full_share, limit)
    about_tokens = await _list_token_findings.fetch(db, user_id, IDLE_DAYS, EXPIRING_DAYS, limit)
    return Hygiene(most_urgent_first([*advise("key", about_keys), *advise("token", about_tokens)]))
