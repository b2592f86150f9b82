"""How does a key come to be watched, changed and let go? For the endpoints and the demonstration."""

from __future__ import annotations

import msgspec

from app.database import Connection, Database
from app.errors import Invalid, KeyExists, KeyLimitReached, NotFound, OpenRouterUnavailable
from app.events import repository as events
from app.events.structs import OPERATOR, Client
from app.keys import repository
from app.keys.structs import Identity, KeyState
from app.keys.vault import OPENROUTER_KEY
from app.usage import repository as usage
from app.usage.openrouter import OpenRouterError, Refused, Unauthorized, is_secret
from app.usage.reading import Sync


class Change(msgspec.Struct, frozen=True):
    """What is to be changed about a key; None stays as it is."""

    name: str | None
    is_active: bool | None
    secret: str | None


async def add_key(sync: Sync, user_id: int, name: str, secret: str, max_keys: int, client: Client = OPERATOR) -> int:
    """The id of the key, which is due at once; its kind is what OpenRouter says.

    One that is watched already gets its secret, one that was deleted comes back with its history, and what imports call by this
    name becomes this key. Raises Invalid when OpenRouter refuses it, OpenRouterUnavailable, KeyExists, KeyLimitReached.
    """
    state = await _ask(sync, secret)
    kind = "management" if state.is_management else "inference"
    async with sync.db.transaction() as connection:
        await usage.begin_change(connection, user_id)
        holder = await repository.find_holder(connection, user_id, state.hash)
        if holder is not None and holder.has_secret:
            raise KeyExists
        await _require_room(connection, user_id, max_keys)
        if holder is not None:
            key_id = holder.key_id
        else:
            imported = None if state.is_management else await repository.find_imported(connection, user_id, name)
            key_id = imported or await repository.create_key(connection, user_id, name, kind, state.hash)
        await repository.set_name(connection, key_id, name)
        await _store(sync, connection, user_id, key_id, secret, state)
        await events.note(connection, user_id, "key_added", client, key_id, name)
    return key_id


async def change_key(
    sync: Sync, user_id: int, key_id: int, change: Change, max_keys: int, client: Client = OPERATOR
) -> None:
    """All of the change or nothing. Raises NotFound, NotYours, and what adding a key raises."""
    state = None
    if change.secret is not None:
        await repository.require_own(sync.db, key_id, user_id)  # OpenRouter need not be asked for a stranger
        state = await _ask(sync, change.secret)
    async with sync.db.transaction() as connection:
        await usage.begin_change(connection, user_id)
        identity = await repository.find_identity(connection, key_id, user_id)
        if not identity.is_live:
            raise NotFound
        if change.name is not None:
            await repository.set_name(connection, key_id, change.name)
        if change.secret is not None and state is not None:
            await _require_place(connection, user_id, identity, state)
            if not identity.has_secret:
                await _require_room(connection, user_id, max_keys)
            await _store(sync, connection, user_id, key_id, change.secret, state)
            await events.note(connection, user_id, "key_replaced", client, key_id, change.name or identity.name)
        if change.is_active is not None:
            if not identity.has_secret and change.secret is None:
                raise Invalid(("is_active", "cannot be changed: this key has no secret of its own to be read with"))
            await repository.set_active(connection, key_id, is_active=change.is_active)


async def _require_place(connection: Connection, user_id: int, identity: Identity, state: KeyState) -> None:
    """Whether a key can take the place of this one. Raises Invalid, KeyExists."""
    if identity.kind != "imported" and (identity.kind == "management") != state.is_management:
        raise Invalid(("key", f"is of the other kind: this is and stays the place of a key of kind {identity.kind}"))
    if identity.hash == state.hash:
        return
    if identity.is_managed:  # the account goes on listing the old one
        raise Invalid(("key", "is another key of the account; add it as one of its own"))
    if await repository.find_holder(connection, user_id, state.hash) is not None:
        raise KeyExists


async def delete_key(db: Database, user_id: int, key_id: int, *, with_history: bool, client: Client = OPERATOR) -> None:
    """Erases the secret; with a management key go the keys that only it can read.

    Their usage stays, under their names, or goes with them: at once from every total, in batches from the disk. Raises NotFound,
    NotYours.
    """
    async with db.transaction() as connection:
        await usage.begin_change(connection, user_id)
        identity = await repository.find_identity(connection, key_id, user_id)
        if not identity.is_live and not with_history:
            raise NotFound
        deleted = await repository.delete_key(connection, key_id, with_history=with_history)
        if identity.is_live:
            await events.note(connection, user_id, "key_removed", client, key_id, identity.name)
        if with_history:
            await usage.hide_history(connection, user_id, deleted)
            await usage.forget_workspaces(connection, user_id, identity.workspaces)
            await repository.set_unread(connection, key_id)


async def _ask(sync: Sync, secret: str) -> KeyState:
    """What OpenRouter says about a secret; no connection of the pool is held meanwhile."""
    if not is_secret(secret):
        raise Invalid(("key", "is not an OpenRouter key; copy it as it is, sk-or-v1-…"))
    try:
        return await sync.openrouter.own_key(secret)
    except (Unauthorized, Refused) as error:
        raise Invalid(("key", f"was refused. {error}")) from error
    except OpenRouterError as error:
        raise OpenRouterUnavailable(f"The key could not be checked. {error}") from error


async def _require_room(connection: Connection, user_id: int, max_keys: int) -> None:
    """Counted in a statement of its own after the lock: the statement that waits for it has an older view."""
    if await repository.count_secrets(connection, user_id) >= max_keys:
        raise KeyLimitReached(f"Maximum {max_keys} OpenRouter keys allowed")


async def _store(sync: Sync, connection: Connection, user_id: int, key_id: int, secret: str, state: KeyState) -> None:
    record = sync.vault.encrypt(secret, user_id=user_id, row_id=key_id, purpose=OPENROUTER_KEY)
    kind = "management" if state.is_management else "inference"
    await repository.set_secret(connection, key_id, record, state.hash, kind)
    await repository.set_state(connection, key_id, state)
