"""Which statements do keys need, and what do their failures mean?"""

from __future__ import annotations

from collections.abc import Collection

from app.database import Executor, Query
from app.errors import NotFound, NotYours
from app.keys.structs import NamedKey

NO_KEY = 0  # the row that stands for usage without a key

_check_own = Query("keys/check_own", bool)
_list_ids_by_name = Query("keys/list_ids_by_name", NamedKey)
_create_imported = Query("keys/create_imported")
_set_imported_at = Query("keys/set_imported_at")
_purge_keys = Query("keys/purge_keys")


async def require_own(db: Executor, key_id: int, user_id: int) -> None:
    """Raises NotFound or NotYours."""
    is_own = await _check_own.find(db, key_id, user_id)
    if is_own is None:
        raise NotFound(f"There is no key {key_id} (api_key_id).")
    if not is_own:
        raise NotYours("The key (api_key_id) belongs to another user.")


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


async def purge_keys(db: Executor, limit: int) -> int:
    """How many keys of deleted accounts were removed, at most `limit`."""
    return await _purge_keys.run(db, limit)
