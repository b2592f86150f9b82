"""What do programs get that ask what is asked most? By the shortcut and by the routes alike."""

from __future__ import annotations

from typing import Any

import msgspec

from app.batching import Batcher
from app.errors import Unauthenticated
from app.limits import Limit
from app.public.structs import CallingToken, RateLimit
from app.tokens.structs import Bearer, TokenEntry


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
