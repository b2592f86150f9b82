"""`/api/keys`: the OpenRouter keys of the person who is logged in."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import UNSET

from app.accounts.guards import CallerRequest, require_caller
from app.cursors import ByTime, Cursors
from app.database import Database
from app.errors import (
    BODY_ERRORS,
    Invalid,
    KeyExists,
    KeyLimitReached,
    NotFound,
    NotYours,
    OpenRouterUnavailable,
    SyncUnderWay,
    Unauthenticated,
    Unavailable,
)
from app.keys import register, repository
from app.keys.structs import KeyChange, KeyEntry, KeyRequest, SyncReport
from app.names import clean_name
from app.pages import page_of
from app.requests import Clients, parse_id
from app.responses import JSONResponse, problems
from app.usage.reading import Sync
from app.usage.sync import sync_now


class KeysController(Controller):
    """The secrets go in and never come out."""

    path = "/api/keys"
    tags = ("OpenRouter keys",)
    guards = (require_caller,)
    security = [{"access token": []}]  # noqa: RUF012 -- Litestar's own type

    @post(
        operation_id="createKey",
        summary="Watch an OpenRouter key",
        description=(
            "OpenRouter is asked about the key first, and says of which kind it is. An inference key tells its own counters "
            "from now on; a management key tells all keys of its account, and the last 30 days by model."
        ),
        responses=problems(*BODY_ERRORS, KeyLimitReached, Unauthenticated, KeyExists, Invalid, OpenRouterUnavailable),
    )
    async def create(
        self,
        data: JSONBody[KeyRequest],
        request: CallerRequest,
        sync: NamedDependency[Sync],
        clients: NamedDependency[Clients],
        max_api_keys_per_user: NamedDependency[int],
    ) -> JSONResponse[KeyEntry]:
        """It is read within seconds."""
        name, user_id = clean_name(data.name), request.user.user_id
        key_id = await register.add_key(
            sync, user_id, name, data.key.strip(), max_api_keys_per_user, clients.of(request)
        )
        entry = await repository.find_key(sync.db, key_id, user_id, sync.stale_seconds)
        location = f"{request.app.state.public_url}/api/keys/{key_id}"
        return JSONResponse(entry, headers={"Location": location})

    @get(
        operation_id="listKeys",
        summary="Your OpenRouter keys, newest first",
        responses=problems(Unauthenticated, Invalid, Unavailable),
    )
    async def list_keys(
        self,
        request: CallerRequest,
        sync: NamedDependency[Sync],
        cursors: NamedDependency[Cursors],
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 1000,
        cursor: FromQuery[str | None] = None,
    ) -> JSONResponse[list[KeyEntry]]:
        """Stored ones, those watched through a management key, and those that imports name; `Link` leads to the next page."""
        bound_to = ("keys", request.user.user_id)
        before = cursors.read(cursor, ByTime, *bound_to).before if cursor is not None else None
        entries = await repository.list_keys(sync.db, request.user.user_id, sync.stale_seconds, before, limit + 1)
        return page_of(request, entries, limit, lambda key: cursors.make(ByTime.of(key.created_at, key.id), *bound_to))

    @get(
        "/{key_id:str}",
        operation_id="getKey",
        summary="One of your OpenRouter keys",
        responses=problems(Unauthenticated, NotYours, NotFound, Unavailable),
    )
    async def get_key(self, key_id: FromPath[str], request: CallerRequest, sync: NamedDependency[Sync]) -> KeyEntry:
        """As it stands in the list."""
        return await repository.find_key(sync.db, parse_id(key_id), request.user.user_id, sync.stale_seconds)

    @patch(
        "/{key_id:str}",
        operation_id="changeKey",
        summary="Rename, pause or replace a key",
        responses=problems(
            *BODY_ERRORS,
            KeyLimitReached,
            Unauthenticated,
            NotYours,
            NotFound,
            KeyExists,
            Invalid,
            OpenRouterUnavailable,
        ),
    )
    async def change(
        self,
        key_id: FromPath[str],
        data: JSONBody[KeyChange],
        request: CallerRequest,
        sync: NamedDependency[Sync],
        clients: NamedDependency[Clients],
        max_api_keys_per_user: NamedDependency[int],
    ) -> KeyEntry:
        """What is not given stays. A new `key` is checked like the first, and its counters begin anew."""
        number, user_id = parse_id(key_id), request.user.user_id
        if data.name is UNSET and data.is_active is UNSET and data.key is UNSET:
            raise Invalid(("", "must change something: name, is_active or key"))
        change = register.Change(
            name=clean_name(data.name) if data.name is not UNSET else None,
            is_active=data.is_active if data.is_active is not UNSET else None,
            secret=data.key.strip() if data.key is not UNSET else None,
        )
        await register.change_key(sync, user_id, number, change, max_api_keys_per_user, clients.of(request))
        return await repository.find_key(sync.db, number, user_id, sync.stale_seconds)

    @delete(
        "/{key_id:str}",
        operation_id="deleteKey",
        summary="Stop watching a key and erase its secret",
        responses=problems(Unauthenticated, NotYours, NotFound, Invalid, Unavailable),
    )
    async def delete_key(
        self,
        key_id: FromPath[str],
        request: CallerRequest,
        db: NamedDependency[Database],
        clients: NamedDependency[Clients],
        history: FromQuery[Literal["keep", "delete"]] = "keep",
    ) -> None:
        """The usage stays under the key's name, unless `history=delete`. With a management key go the keys it alone reads."""
        await register.delete_key(
            db, request.user.user_id, parse_id(key_id), with_history=history == "delete", client=clients.of(request)
        )

    @post(
        "/{key_id:str}/sync",
        status_code=200,
        operation_id="syncKey",
        summary="Read a key now",
        responses=problems(Unauthenticated, NotYours, NotFound, SyncUnderWay, Invalid, Unavailable),
    )
    async def sync_key(self, key_id: FromPath[str], request: CallerRequest, sync: NamedDependency[Sync]) -> SyncReport:
        """Waits for the end of it. A watched key without a secret is read through its management key, with all of the account."""
        return await sync_now(sync, request.user.user_id, parse_id(key_id))
