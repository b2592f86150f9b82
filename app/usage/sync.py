"""How is a key read, and how does that end? Its lease is kept meanwhile, and what went wrong is noted with the key."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime

import structlog
from structlog.typing import FilteringBoundLogger

from app.errors import Invalid, SyncUnderWay, Unavailable
from app.keys import repository as keys
from app.keys.structs import Claim, SyncReport, SyncStatus
from app.keys.vault import OPENROUTER_KEY, CannotDecrypt
from app.usage import repository
from app.usage.account import Account
from app.usage.openrouter import Busy, Nonsense, OpenRouterError, Unauthorized
from app.usage.reading import LEASE_SECONDS, Sync

RENEWAL_SECONDS = LEASE_SECONDS / 4
RELEASE_TIMEOUT_SECONDS = 2.0
RETRY_JITTER = 0.1
BACKOFF_SECONDS = 30.0
BACKOFF_MAX_SECONDS = 3600.0

logger: FilteringBoundLogger = structlog.get_logger(__name__)


async def sync_now(sync: Sync, user_id: int, key_id: int) -> SyncReport:
    """Reads a user's key because they ask for it. Raises NotFound, NotYours, Invalid, SyncUnderWay, Unavailable.

    A watched key without a secret is read through its management key, with all of the account.
    """
    entry = await keys.find_key(sync.db, key_id, user_id, sync.stale_seconds)
    if not entry.has_secret and entry.managed_by is None:
        raise Invalid(("", "cannot be read: it has no secret and no management key"))
    claim = await sync.claim(entry.id)
    if claim is None:
        raise SyncUnderWay
    return await sync_claimed(sync, claim)


async def sync_claimed(sync: Sync, claim: Claim) -> SyncReport:
    """Reads one key. Failures are noted with the key and never raised, but for Unavailable: then nothing can be noted."""
    started_at = datetime.now(UTC)
    rows = 0
    status: SyncStatus = "ok"
    renewal = asyncio.create_task(_keep_lease(sync, claim))
    try:
        rows = await _read(sync, claim)
    except keys.LeaseLost:
        status = "error"  # somebody else reads it by now, or it is deleted: there is nothing to note
    except asyncio.CancelledError:
        await _release(sync, claim)
        raise
    except OpenRouterError as error:
        status = await _note_failure(sync, claim, error, str(error))
    except CannotDecrypt:
        status = await _note_failure(sync, claim, None, "The stored key cannot be decrypted; replace it.")
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001 -- one key's oddity is no other key's
        # also what nobody thought of must not keep the key busy for ever
        logger.error("sync failed", key_id=claim.key_id, kind=type(error).__name__)  # noqa: TRY400 -- traces may quote values
        status = await _note_failure(sync, claim, None, "Something went wrong inside the service.")
    finally:
        renewal.cancel()
        with suppress(asyncio.CancelledError):
            await renewal
    finished_at = datetime.now(UTC)
    sync.observe(status, (finished_at - started_at).total_seconds())
    logger.info("key read", key_id=claim.key_id, user_id=claim.user_id, status=status, rows=rows)
    return SyncReport(started_at, finished_at, rows, status)


async def _read(sync: Sync, claim: Claim) -> int:
    """How many facts were written. Raises OpenRouterError, CannotDecrypt, LeaseLost, Unavailable."""
    secret = sync.vault.decrypt(claim.secret, user_id=claim.user_id, row_id=claim.key_id, purpose=OPENROUTER_KEY)
    state = await sync.openrouter.own_key(secret)
    if state.is_management != (claim.kind == "management"):
        raise Nonsense("OpenRouter says that the key is of another kind than it was.")
    if state.is_management:
        return await Account(sync, claim, secret).read(state)
    async with sync.writing(claim) as connection:
        grown = await repository.book_readings(connection, claim.user_id, {claim.key_id: state}, with_idle_days=True)
        await repository.refresh_days(connection, claim.user_id, {day for _, day in grown})
        await keys.set_state(connection, claim.key_id, state)
        await keys.set_synced(connection, claim.key_id, sync.next_seconds)
    return len(grown)


async def _note_failure(sync: Sync, claim: Claim, error: OpenRouterError | None, text: str) -> SyncStatus:
    status: SyncStatus = "unauthorized" if isinstance(error, Unauthorized) else "error"
    await keys.set_failed(sync.db, claim, status, text, _retry_seconds(claim, error))
    return status


def _retry_seconds(claim: Claim, error: OpenRouterError | None) -> float | None:
    """None: not before the key is replaced, or somebody asks for it."""
    if isinstance(error, Unauthorized):
        return None
    if isinstance(error, Busy) and error.retry_after_seconds is not None:
        return error.retry_after_seconds + random.uniform(0, 1 + error.retry_after_seconds * RETRY_JITTER)  # noqa: S311 -- no secret
    most = min(BACKOFF_SECONDS * 2 ** min(claim.failures, 20), BACKOFF_MAX_SECONDS)
    return random.uniform(0, most)  # noqa: S311 -- no secret; full jitter


async def _keep_lease(sync: Sync, claim: Claim) -> None:
    """For as long as this process works on the key. Once lost, it stays lost, and the next write finds out."""
    with suppress(keys.LeaseLost):
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            with suppress(Unavailable):
                await keys.renew_lease(sync.db, claim, LEASE_SECONDS)


async def _release(sync: Sync, claim: Claim) -> None:
    """At shutdown: others need not wait for the lease to run out."""
    with suppress(Unavailable, keys.LeaseLost, TimeoutError):
        async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS):
            await keys.renew_lease(sync.db, claim, 0)
