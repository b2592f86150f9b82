"""What do programs get that ask what is asked most? By the shortcut and by the routes alike."""

from __future__ import annotations

from typing import Any

import msgspec

from app.batching import Batcher
from app.errors import Unauthenticated
from app.keys import repository as keys
from app.limits import Limit
from app.public.structs import CallingToken, RateLimit
from app.public.sums import Asked
from app.stats.answers import tag_of, tagged
from app.stats.overview import stats_of
from app.stats.selection import Selection
from app.stats.structs import Selected, Stats, Totals
from app.tokens.structs import Bearer, TokenEntry


async def find_stats(
    totals: Batcher[Asked, Totals], user_id: int, selection: Selection
) -> tuple[Stats, dict[str, str]]:
    """The sums, and the headers of their entity tag. Raises NotFound or NotYours for the selection's key, Unavailable."""
    found, _ = await totals.ask((user_id, selection))
    keys.require(selection.key_id, is_own=found.is_own_key)
    return stats_of(found), tagged(tag_of_stats(user_id, found, selection))


def tag_of_stats(user_id: int, state: Selected, selection: Selection) -> str:
    """Their entity tag."""
    return tag_of(user_id, state, "stats", selection)


async def find_calling_token(
    entries: Batcher[Any, TokenEntry | None], caller: Bearer, limit: Limit | None
) -> CallingToken:
    """The token itself. Raises Unauthenticated when it has been purged since it was let through, Unavailable."""
    entry, _ = await entries.ask((caller.token_id, caller.user_id))
    if entry is None:
        raise Unauthenticated(credential_sent=True)
    return CallingToken(
        **msgspec.structs.asdict(entry), rate_limit=limit and RateLimit(limit.count, limit.window_seconds)
    )
