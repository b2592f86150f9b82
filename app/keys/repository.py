"""Which statements do keys need, and what do their failures mean?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime

from app.database import Connection, Executor, Query
from app.errors import NotFound, NotYours
from app.keys.structs import (
    Account,
    Claim,
    Credits,
    Former,
    Holder,
    Identity,
    KeyEntry,
    KeysState,
    KeyState,
    NamedKey,
    PurgedHistory,
    StoredKey,
    Untold,
    Watched,
)

ALL = 2**62  # as a limit
NO_KEY = 0  # the row that stands for usage without a key

_check_own = Query("keys/check_own", bool)
_list_keys = Query("keys/list_keys", StoredKey)
_sum_keys = Query("keys/sum_keys", KeysState)
_find_holder = Query("keys/find_holder", Holder)
_find_imported = Query("keys/find_imported", int)
_find_identity = Query("keys/find_identity", Identity)
_count_secrets = Query("keys/count_secrets", int)
_create_key = Query("keys/create_key", int)
_set_secret = Query("keys/set_secret")
_set_name = Query("keys/set_name")
_set_active = Query("keys/set_active")
_delete_key = Query("keys/delete_key", int)
_list_ids_by_name = Query("keys/list_ids_by_name", NamedKey)
_create_imported = Query("keys/create_imported")
_set_imported_at = Query("keys/set_imported_at")
_claim_due = Query("keys/claim_due", Claim)
_claim_key = Query("keys/claim_key", Claim)
_set_lease = Query("keys/set_lease")
_lock_lease = Query("keys/lock_lease", int)
_set_synced = Query("keys/set_synced")
_set_failed = Query("keys/set_failed")
_set_state = Query("keys/set_state")
_set_account = Query("keys/set_account")
_set_activity_days = Query("keys/set_activity_days")
_set_activity_digest = Query("keys/set_activity_digest")
_find_activity_digest = Query("keys/find_activity_digest", bytes)
_set_adopted = Query("keys/set_adopted")
_merge_listed = Query("keys/merge_listed")
_list_watched = Query("keys/list_watched", Watched)
_list_untold = Query("keys/list_untold", Untold)
_list_former = Query("keys/list_former", Former)
_set_managed = Query("keys/set_managed")
_set_gone = Query("keys/set_gone")
_set_unread = Query("keys/set_unread")
_find_history_to_purge = Query("keys/find_history_to_purge", PurgedHistory)
_set_history_purged = Query("keys/set_history_purged")
_purge_keys = Query("keys/purge_keys")


class LeaseLost(Exception):
    """The key was claimed by somebody else, replaced or deleted, or the lease has run out: nothing may be written."""


async def require_own(db: Executor, key_id: int, user_id: int) -> None:
    """Raises NotFound or NotYours."""
    require(key_id, is_own=await _check_own.find(db, key_id, user_id))


def require(key_id: int | None, *, is_own: bool | None) -> None:
    """Raises NotFound where `is_own` is None, NotYours where it is false."""
    if is_own is None:
        raise NotFound(f"There is no key {key_id} (api_key_id).")
    if not is_own:
        raise NotYours("The key (api_key_id) belongs to another user.")


# --- for their owner


async def list_keys(
    db: Executor, user_id: int, stale_seconds: float, before: tuple[datetime, int] | None, limit: int
) -> list[KeyEntry]:
    """A user's keys, newest first; `stale_seconds`: how old figures may be."""
    created_at, key_id = before or (None, None)
    rows = await _list_keys.fetch(db, user_id, None, stale_seconds, created_at, key_id, limit)
    return [_entry(row) for row in rows]


async def sum_keys(db: Executor, user_id: int, stale_seconds: float) -> KeysState:
    """How many keys a user has, and the state that their list is in."""
    return await _sum_keys.get(db, user_id, stale_seconds)


async def find_key(db: Executor, key_id: int, user_id: int, stale_seconds: float) -> KeyEntry:
    """Raises NotFound or NotYours."""
    row = await _list_keys.find(db, user_id, key_id, stale_seconds, None, None, 1)
    if row is not None:
        return _entry(row)
    await require_own(db, key_id, user_id)
    raise NotFound


def _entry(row: StoredKey) -> KeyEntry:
    account = None
    if row.credits_bought is not None and row.credits_used is not None and row.credits_left is not None:
        account = Account(row.credits_bought, row.credits_used, row.credits_left, row.credits_as_of)
    fields = {name: getattr(row, name) for name in row.__struct_fields__ if not name.startswith("credits_")}
    return KeyEntry(**fields, account=account)


# --- changes, in a transaction that holds the user's usage


async def find_holder(connection: Connection, user_id: int, key_hash: str) -> Holder | None:
    """The user's key with this hash, deleted ones included."""
    return await _find_holder.find(connection, user_id, key_hash)


async def find_imported(connection: Connection, user_id: int, name: str) -> int | None:
    """The key that imports have made for a name, unless another key has that name too."""
    return await _find_imported.find(connection, user_id, name)


async def find_identity(connection: Connection, key_id: int, user_id: int) -> Identity:
    """Raises NotFound or NotYours."""
    identity = await _find_identity.find(connection, key_id, user_id)
    if identity is None:
        await require_own(connection, key_id, user_id)
        raise NotFound
    return identity


async def count_secrets(connection: Connection, user_id: int) -> int:
    """How many secrets the user has stored."""
    return await _count_secrets.get(connection, user_id)


async def create_key(connection: Connection, user_id: int, name: str, kind: str, key_hash: str) -> int:
    """The new row's id; its secret follows."""
    return await _create_key.get(connection, user_id, name, kind, key_hash)


async def set_secret(connection: Connection, key_id: int, record: bytes, key_hash: str, kind: str) -> None:
    """Stores an encrypted secret and makes the key due."""
    await _set_secret.run(connection, key_id, record, key_hash, kind)


async def set_name(connection: Connection, key_id: int, name: str) -> None:
    """Names a key."""
    await _set_name.run(connection, key_id, name)


async def set_active(connection: Connection, key_id: int, *, is_active: bool) -> None:
    """Pauses a key, or makes it due."""
    await _set_active.run(connection, key_id, is_active)


async def delete_key(connection: Connection, key_id: int, *, with_history: bool) -> list[int]:
    """Erases the secret; the ids of the key and of those that go with it."""
    return await _delete_key.fetch(connection, key_id, with_history)


# --- what imports name


async def ids_by_name(db: Executor, user_id: int, names: Collection[str]) -> dict[str, int]:
    """Which of the user's keys an export means by these names; made where there is none.

    Raises NotFound when the account is gone.
    """
    found = await _list_ids_by_name.fetch(db, user_id, names)
    if missing := set(names) - {key.name for key in found}:
        await _create_imported.run(db, user_id, missing)
        found = await _list_ids_by_name.fetch(db, user_id, names)
    if len(found) < len(names):
        raise NotFound("This account does not exist any more.")
    return {key.name: key.id for key in found}


async def set_imported_at(db: Executor, user_id: int, key_ids: Collection[int]) -> None:
    """Notes that these keys, as far as imports are what feeds them, have just been fed."""
    await _set_imported_at.run(db, user_id, key_ids)


# --- the work of reading them


async def claim_due(db: Executor, limit: int, lease_seconds: float) -> list[Claim]:
    """Takes up to so many keys that are due."""
    return await _claim_due.fetch(db, limit, lease_seconds)


async def claim_key(db: Executor, key_id: int, lease_seconds: float) -> Claim | None:
    """Takes one key; None when somebody has it, or it has nothing to be read with."""
    return await _claim_key.find(db, key_id, lease_seconds)


async def renew_lease(db: Executor, claim: Claim, lease_seconds: float) -> None:
    """Raises LeaseLost."""
    if not await _set_lease.run(db, claim.key_id, claim.fence, lease_seconds):
        raise LeaseLost


async def lock_lease(connection: Connection, claim: Claim) -> None:
    """Keeps the claim until the end of the transaction. Raises LeaseLost."""
    if await _lock_lease.find(connection, claim.key_id, claim.fence) is None:
        raise LeaseLost


async def set_synced(connection: Connection, key_id: int, next_seconds: float) -> None:
    """The key has been read; the next time is so far away."""
    await _set_synced.run(connection, key_id, next_seconds)


async def set_failed(db: Executor, claim: Claim, status: str, error: str, retry_seconds: float | None) -> None:
    """The key could not be read; without `retry_seconds` it rests. Nothing happens when the lease is lost."""
    await _set_failed.run(db, claim.key_id, claim.fence, status, error, retry_seconds)


async def set_state(connection: Connection, key_id: int, state: KeyState) -> None:
    """What OpenRouter says about a key that was asked with its own secret."""
    await _set_state.run(
        connection,
        key_id,
        state.label,
        state.is_disabled,
        state.limit,
        state.limit_remaining,
        state.limit_reset,
        state.expires_at,
    )


async def set_account(connection: Connection, key_id: int, workspaces: Sequence[str], balance: Credits | None) -> None:
    """What a management key told of its account; `balance` None when it is not known."""
    figures = (balance.bought, balance.used, balance.moment) if balance else (None, None, None)
    await _set_account.run(connection, key_id, workspaces, *figures)


async def find_activity_digest(db: Executor, key_id: int) -> bytes | None:
    """Which activity of its account was booked last."""
    return await _find_activity_digest.find(db, key_id)


async def set_activity_digest(connection: Connection, user_id: int, key_ids: Collection[int], digest: bytes) -> None:
    """Notes which activity of the account has been booked for some keys."""
    await _set_activity_digest.run(connection, user_id, key_ids, digest)


async def set_activity_days(
    connection: Connection, user_id: int, key_ids: Collection[int], first_day: date, last_day: date
) -> None:
    """Notes the days of which activity has told all about some keys."""
    await _set_activity_days.run(connection, user_id, key_ids, first_day, last_day)


async def merge_listed(connection: Connection, user_id: int, manager_id: int, listed: Sequence[KeyState]) -> None:
    """Takes up what a management key lists."""
    hashes, names = [key.hash for key in listed], [key.name for key in listed]
    await _set_adopted.run(connection, user_id, hashes, names)
    await _merge_listed.run(
        connection,
        user_id,
        manager_id,
        hashes,
        names,
        [key.label for key in listed],
        [key.workspace for key in listed],
        [key.is_disabled for key in listed],
        [key.limit for key in listed],
        [key.limit_remaining for key in listed],
        [key.limit_reset for key in listed],
        [key.expires_at for key in listed],
    )


async def set_gone(connection: Connection, user_id: int, manager_id: int, hashes: Sequence[str], error: str) -> None:
    """Notes that a management key lists these keys and no others."""
    await _set_gone.run(connection, user_id, manager_id, hashes, error)


async def list_watched(
    connection: Connection, user_id: int, manager_id: int, hashes: Sequence[str], workspaces: Sequence[str]
) -> list[Watched]:
    """Which of these keys are read through this management key, and what of its workspaces was deleted with its history."""
    return await _list_watched.fetch(connection, user_id, manager_id, hashes, workspaces)


async def list_untold(
    db: Executor, user_id: int, workspaces: Sequence[str], first_day: date, last_day: date
) -> list[Untold]:
    """Which keys may be counted twice once these workspaces' activity is booked."""
    return await _list_untold.fetch(db, user_id, workspaces, first_day, last_day)


async def list_former(db: Executor, user_id: int, first_day: date) -> list[Former]:
    """Which keys of a user were replaced since a day."""
    return await _list_former.fetch(db, user_id, first_day)


async def set_managed(connection: Connection, key_id: int, manager_id: int) -> None:
    """Notes to whose account a key belongs."""
    await _set_managed.run(connection, key_id, manager_id)


# --- what goes


async def set_unread(connection: Connection, key_id: int) -> None:
    """Whoever is reading the key's account must not write any more; it is read anew at once."""
    await _set_unread.run(connection, key_id)


async def find_history_to_purge(db: Executor) -> PurgedHistory | None:
    """A key whose history was deleted and is not removed yet."""
    return await _find_history_to_purge.find(db)


async def set_history_purged(db: Executor, key_id: int) -> None:
    """Nothing of the key's history is left."""
    await _set_history_purged.run(db, key_id)


async def purge_keys(db: Executor, limit: int) -> int:
    """How many keys of deleted accounts were removed, at most `limit`."""
    return await _purge_keys.run(db, limit)
