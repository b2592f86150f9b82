"""May a request with this token pass? The only place where that is decided: by the database, at this moment, for many at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from app.batching import Batcher, Lanes
from app.database import Database
from app.errors import Unauthenticated, Unavailable
from app.limits import Limit
from app.tokens import repository
from app.tokens.rate_limit import Quota
from app.tokens.structs import Bearer, Verdict

# each may wait as long as lock_timeout, on a connection of the pool
WAITING_LANES = Lanes(count=3, batch_max=1)


class Passage(msgspec.Struct, frozen=True):
    """Whom a live token speaks for, and what is left of its rate limit, if there is one."""

    bearer: Bearer
    quota: Quota | None


class Authorization:
    """Shares statements between the requests of a process. Nothing is remembered: each request has a verdict of its own."""

    def __init__(self, db: Database, limit: Limit | None, lanes: Lanes, observe: Callable[[int, float], None]) -> None:
        """`limit`: of each token; None for no limit. `lanes` and `observe`: as of a Batcher."""
        self.limit = limit
        self._db = db
        self._batcher = Batcher(self._authorize, lanes, observe)
        # tokens whose meters another process holds, or somebody's open transaction: nobody else waits for them
        self._waiting = Batcher(self._authorize_waiting, WAITING_LANES, observe)

    async def authorize(self, digest: bytes) -> Passage:
        """The verdict on one request, which is counted unless its quota is exhausted. Raises Unauthenticated, Unavailable."""
        verdict, rank = await self._ask(digest)
        if verdict is None:
            raise Unauthenticated(credential_sent=True)
        if verdict.is_locked:
            raise Unavailable  # the token is being purged with its account
        bearer = Bearer(verdict.token_id, verdict.user_id, verdict.usage_version, verdict.today)
        if self.limit is None:
            return Passage(bearer, None)
        quota = Quota(self.limit, verdict.free - rank, verdict.renewed_at, verdict.renewed_in_seconds)
        return Passage(bearer, quota)

    async def _ask(self, digest: bytes) -> tuple[Verdict | None, int]:
        if digest not in self._waiting:
            verdict, rank = await self._batcher.ask(digest)
            if verdict is None or not verdict.is_locked:
                return verdict, rank
        return await self._waiting.ask(digest)

    async def close(self) -> None:
        """Waits for the requests that are in line."""
        await self._batcher.close()
        await self._waiting.close()

    async def _authorize(self, requests: Mapping[bytes, int]) -> Mapping[bytes, Verdict | None]:
        return await repository.authorize_tokens(self._db, requests, self.limit)

    async def _authorize_waiting(self, requests: Mapping[bytes, int]) -> Mapping[bytes, Verdict | None]:
        (digest,) = requests
        async with self._db.transaction() as connection:
            await repository.lock_meter(connection, digest)
            return await repository.authorize_tokens(connection, requests, self.limit)
