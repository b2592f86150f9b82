"""Are the encryption keys the right ones, and how are secrets moved from one to the next?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from app.database import Connection, Database, Executor, Query
from app.errors import OperatorError
from app.keys.vault import OPENROUTER_KEY, CannotDecrypt, Vault

CANARY = "encryption_canaries.canary"  # a purpose
SOMETHING_KNOWN = "openrouter-watcher"
BATCH = 100
# Rows that the service is writing at that moment are tried again; it holds them for milliseconds.
ROUNDS_MAX = 300
ROUND_PAUSE_SECONDS = 0.1
ROWS_NAMED_MAX = 20


class Canary(msgspec.Struct, frozen=True):
    """Something known under an encryption key."""

    key_id: str
    canary: bytes


class UsedKey(msgspec.Struct, frozen=True):
    """How many secrets are under an encryption key."""

    key_id: str
    secrets: int


class OldSecret(msgspec.Struct, frozen=True):
    """A secret under another encryption key than the current one."""

    id: int
    user_id: int
    secret: bytes


_check_canaries_exist = Query("keys/check_canaries_exist", bool)
_lock_canaries = Query("keys/lock_canaries")
_create_canary = Query("keys/create_canary")
_list_canaries = Query("keys/list_canaries", Canary)
_list_key_ids_in_use = Query("keys/list_key_ids_in_use", UsedKey)
_list_old_secrets = Query("keys/list_old_secrets", int)
_lock_old_secrets = Query("keys/lock_old_secrets", OldSecret)
_set_rotated_secrets = Query("keys/set_rotated_secrets")
_delete_old_canaries = Query("keys/delete_old_canaries")


async def check_keys(db: Executor, vault: Vault) -> None:
    """Writes nothing, and works on a database of any age. Raises OperatorError when secrets are under a key that is not given."""
    if not await _check_canaries_exist.get(db):
        return
    await _require_fitting_canaries(db, vault)
    known = {name.hex() for name in vault.key_ids}
    stored = {used.key_id: used.secrets for used in await _list_key_ids_in_use.fetch(db)}
    used = stored.keys() | {canary.key_id for canary in await _list_canaries.fetch(db)}
    if missing := sorted(used - known):
        counted = [f"{key_id} ({stored.get(key_id, 0)} stored OpenRouter keys)" for key_id in missing]
        raise OperatorError(
            f"ENCRYPTION_KEYS lacks what this database is used with: {', '.join(counted)}. It has {', '.join(sorted(known))}. "
            "A name is the first 8 hex digits of the key's SHA-256."
        )


async def require_right_keys(db: Executor, vault: Vault) -> None:
    """At start: notices a wrong key, else notes the first. Of first starts with different keys one wins. Raises OperatorError."""
    if isinstance(db, Database):
        async with db.transaction() as connection:
            await _require_right_keys(connection, vault)
    else:
        async with db.transaction():
            await _require_right_keys(db, vault)


async def _require_right_keys(connection: Connection, vault: Vault) -> None:
    await _lock_canaries.run(connection)
    await check_keys(connection, vault)
    await _note_first_key(connection, vault)


async def rotate(db: Database, vault: Vault, progress: Callable[[int], None] | None = None) -> int:
    """Puts every secret under the first key, in batches, while the service runs; how many.

    Each batch is a transaction: a kill leaves each secret whole, under one key or the other, and another call goes on. Secrets of
    deleted accounts are moved as well, until they are purged. `progress` is told how many more have been moved. Raises
    OperatorError for what cannot be decrypted, after everything else was done.
    """
    await _require_fitting_canaries(db, vault)
    await _note_first_key(db, vault)  # first: from now on a start without this key is refused
    done, left = 0, set[int]()
    for _ in range(ROUNDS_MAX):
        moved, unreadable = await _rotate_once(db, vault, progress)
        done += moved
        left = set(await _list_old_secrets.fetch(db, vault.key_id))
        if left <= unreadable.keys():
            break
        await asyncio.sleep(ROUND_PAUSE_SECONDS)
    else:
        raise OperatorError(
            f"{done} OpenRouter keys were re-encrypted, but {len(left)} are still under another encryption key: something holds "
            "them, or a service runs that encrypts under another key. Run it again when that is over."
        )
    await _delete_old_canaries.run(db, vault.key_id.hex())
    if left:
        raise OperatorError(_told({row_id: unreadable[row_id] for row_id in sorted(left)}, done))
    return done


async def _rotate_once(
    db: Database, vault: Vault, progress: Callable[[int], None] | None
) -> tuple[int, dict[int, CannotDecrypt]]:
    """Everything that nobody else is writing at this moment: how many were moved, and what cannot be read."""
    done, after_id = 0, 0
    unreadable: dict[int, CannotDecrypt] = {}
    while True:
        async with db.transaction() as connection:
            batch = await _lock_old_secrets.fetch(connection, vault.key_id, after_id, BATCH)
            moved = await _move(connection, vault, batch, unreadable)
        if not batch:
            return done, unreadable
        done, after_id = done + moved, batch[-1].id
        if progress is not None:
            progress(moved)


async def _move(
    connection: Connection, vault: Vault, batch: list[OldSecret], unreadable: dict[int, CannotDecrypt]
) -> int:
    records: dict[int, bytes] = {}
    for row in batch:
        try:
            secret = vault.decrypt(row.secret, user_id=row.user_id, row_id=row.id, purpose=OPENROUTER_KEY)
        except CannotDecrypt as error:
            unreadable[row.id] = error
        else:
            records[row.id] = vault.encrypt(secret, user_id=row.user_id, row_id=row.id, purpose=OPENROUTER_KEY)
    return await _set_rotated_secrets.run(connection, list(records), list(records.values())) if records else 0


def _told(unreadable: dict[int, CannotDecrypt], done: int) -> str:
    lines = [f"{done} OpenRouter keys were re-encrypted; {len(unreadable)} cannot be decrypted:"]
    lines += [f"openrouter_keys.id {row_id}: {why}" for row_id, why in list(unreadable.items())[:ROWS_NAMED_MAX]]
    if len(unreadable) > ROWS_NAMED_MAX:
        lines.append(f"and {len(unreadable) - ROWS_NAMED_MAX} more")
    return "\n".join(lines)


async def _require_fitting_canaries(db: Executor, vault: Vault) -> None:
    """Whether the given keys are what their names say."""
    for canary in await _list_canaries.fetch(db):
        if bytes.fromhex(canary.key_id) not in vault.key_ids:
            continue
        try:
            vault.decrypt(canary.canary, user_id=0, row_id=0, purpose=CANARY)
        except CannotDecrypt as error:
            raise OperatorError(
                f"The encryption key {canary.key_id} does not decrypt what it encrypted in this database: {error}"
            ) from error


async def _note_first_key(db: Executor, vault: Vault) -> None:
    canary = vault.encrypt(SOMETHING_KNOWN, user_id=0, row_id=0, purpose=CANARY)
    await _create_canary.run(db, vault.key_id.hex(), canary)
