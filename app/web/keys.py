"""Which OpenRouter keys are watched, how are they, and how does one come and go?"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Literal

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from app.cursors import ByTime, Cursors
from app.errors import AppError, Invalid, KeyExists, KeyLimitReached, OpenRouterUnavailable, SyncUnderWay
from app.keys import register, repository
from app.names import clean_name
from app.pages import split_page
from app.requests import Clients, parse_id
from app.usage.reading import Sync
from app.usage.sync import sync_now
from app.web.forms import OWN_FORM, Form
from app.web.guards import SignedInRequest, require_own_page, require_session
from app.web.pages import Pages

PAGE_KEYS = 50

Done = Literal["added", "changed", "replaced", "paused", "resumed", "read", "busy", "failed", "deleted", "erased"]


class KeyPages(Controller):
    """The list, and a page for each key."""

    path = "/keys"
    guards = (require_own_page, require_session)
    dependencies = OWN_FORM
    include_in_schema = False

    @get()
    async def show_list(
        self,
        request: SignedInRequest,
        sync: NamedDependency[Sync],
        cursors: NamedDependency[Cursors],
        pages: NamedDependency[Pages],
        cursor: FromQuery[str] = "",
        done: FromQuery[Done | None] = None,
    ) -> Response[Any]:
        """The newest first."""
        return await _list_page(request, sync, cursors, pages, cursor, done=done)

    @post()
    async def add(
        self,
        request: SignedInRequest,
        form: NamedDependency[Form],
        sync: NamedDependency[Sync],
        cursors: NamedDependency[Cursors],
        pages: NamedDependency[Pages],
        clients: NamedDependency[Clients],
        max_api_keys_per_user: NamedDependency[int],
    ) -> Response[Any]:
        """OpenRouter is asked about it first; what it answers is shown."""
        try:
            name, secret = clean_name(form.get("name", "")), form.get("key", "").strip()
            await register.add_key(sync, request.user.user_id, name, secret, max_api_keys_per_user, clients.of(request))
        except AppError as error:
            return await _list_page(request, sync, cursors, pages, "", error=error, name=form.get("name", ""))
        return pages.redirect("/keys", done="added")

    @get("/{key_id:str}")
    async def show(
        self,
        key_id: FromPath[str],
        request: SignedInRequest,
        sync: NamedDependency[Sync],
        pages: NamedDependency[Pages],
        done: FromQuery[Done | None] = None,
    ) -> Response[Any]:
        """Everything about one."""
        return await _key_page(request, sync, pages, parse_id(key_id), done=done)

    @post("/{key_id:str}/rename")
    async def rename(
        self,
        key_id: FromPath[str],
        request: SignedInRequest,
        form: NamedDependency[Form],
        sync: NamedDependency[Sync],
        pages: NamedDependency[Pages],
        clients: NamedDependency[Clients],
        max_api_keys_per_user: NamedDependency[int],
    ) -> Response[Any]:
        """Here; OpenRouter goes on calling it what it did."""
        number = parse_id(key_id)
        try:
            change = register.Change(clean_name(form.get("name", "")), is_active=None, secret=None)
            await register.change_key(
                sync, request.user.user_id, number, change, max_api_keys_per_user, clients.of(request)
            )
        except Invalid as error:
            return await _key_page(request, sync, pages, number, error=error)
        return pages.redirect(f"/keys/{number}", done="changed")

    @post("/{key_id:str}/replace")
    async def replace(
        self,
        key_id: FromPath[str],
        request: SignedInRequest,
        form: NamedDependency[Form],
        sync: NamedDependency[Sync],
        pages: NamedDependency[Pages],
        clients: NamedDependency[Clients],
        max_api_keys_per_user: NamedDependency[int],
    ) -> Response[Any]:
        """By another secret, which is checked like the first."""
        number = parse_id(key_id)
        try:
            change = register.Change(None, is_active=None, secret=form.get("key", "").strip())
            await register.change_key(
                sync, request.user.user_id, number, change, max_api_keys_per_user, clients.of(request)
            )
        except (Invalid, KeyExists, KeyLimitReached, OpenRouterUnavailable) as error:
            return await _key_page(request, sync, pages, number, error=error)
        return pages.redirect(f"/keys/{number}", done="replaced")

    @post("/{key_id:str}/pause")
    async def pause(
        self,
        key_id: FromPath[str],
        request: SignedInRequest,
        form: NamedDependency[Form],  # noqa: ARG002 -- it must be ours
        sync: NamedDependency[Sync],
        pages: NamedDependency[Pages],
        clients: NamedDependency[Clients],
        max_api_keys_per_user: NamedDependency[int],
    ) -> Response[Any]:
        """It is not read until it is resumed."""
        change = register.Change(None, is_active=False, secret=None)
        await register.change_key(
            sync, request.user.user_id, parse_id(key_id), change, max_api_keys_per_user, clients.of(request)
        )
        return pages.redirect(f"/keys/{key_id}", done="paused")

    @post("/{key_id:str}/resume")
    async def resume(
        self,
        key_id: FromPath[str],
        request: SignedInRequest,
        form: NamedDependency[Form],  # noqa: ARG002 -- it must be ours
        sync: NamedDependency[Sync],
        pages: NamedDependency[Pages],
        clients: NamedDependency[Clients],
        max_api_keys_per_user: NamedDependency[int],
    ) -> Response[Any]:
        """It is read at once, and then as before."""
        change = register.Change(None, is_active=True, secret=None)
        await register.change_key(
            sync, request.user.user_id, parse_id(key_id), change, max_api_keys_per_user, clients.of(request)
        )
        return pages.redirect(f"/keys/{key_id}", done="resumed")

    @post("/{key_id:str}/sync")
    async def sync_key(
        self,
        key_id: FromPath[str],
        request: SignedInRequest,
        form: NamedDependency[Form],
        sync: NamedDependency[Sync],
        pages: NamedDependency[Pages],
    ) -> Response[Any]:
        """Waits for the end of it, and leads back to where it was asked for."""
        done: Done = "busy"  # what was asked for is being done
        with suppress(SyncUnderWay):
            report = await sync_now(sync, request.user.user_id, parse_id(key_id))
            done = "read" if report.status == "ok" else "failed"
        page = "/keys" if form.get("from") == "list" else f"/keys/{key_id}"
        return pages.redirect(page, done=done)

    @get("/{key_id:str}/delete")
    async def ask_to_delete(
        self,
        key_id: FromPath[str],
        request: SignedInRequest,
        sync: NamedDependency[Sync],
        pages: NamedDependency[Pages],
    ) -> Response[Any]:
        """What goes with it, and what stays."""
        key = await repository.find_key(sync.db, parse_id(key_id), request.user.user_id, sync.stale_seconds)
        return pages.page(request, "key_delete.html", key=key)

    @post("/{key_id:str}/delete")
    async def delete(
        self,
        key_id: FromPath[str],
        request: SignedInRequest,
        form: NamedDependency[Form],
        sync: NamedDependency[Sync],
        clients: NamedDependency[Clients],
        pages: NamedDependency[Pages],
    ) -> Response[Any]:
        """The secret for good; the history as was chosen."""
        history = form.get("history")
        if history not in {"keep", "delete"}:
            raise Invalid(("history", "must be chosen: keep it, or delete it too"))
        with_history = history == "delete"
        await register.delete_key(
            sync.db, request.user.user_id, parse_id(key_id), with_history=with_history, client=clients.of(request)
        )
        return pages.redirect("/keys", done="erased" if with_history else "deleted")


async def _list_page(
    request: SignedInRequest,
    sync: Sync,
    cursors: Cursors,
    pages: Pages,
    cursor: str,
    *,
    done: Done | None = None,
    error: AppError | None = None,
    name: str = "",
) -> Response[Any]:
    """`name`: what was to be added under it."""
    user_id = request.user.user_id
    bound_to = ("keys page", user_id)
    before = cursors.read(cursor, ByTime, *bound_to).before if cursor else None
    found = await repository.list_keys(sync.db, user_id, sync.stale_seconds, before, PAGE_KEYS + 1)
    shown, following = split_page(
        found, PAGE_KEYS, lambda key: cursors.make(ByTime.of(key.created_at, key.id), *bound_to)
    )
    return pages.page(
        request,
        "keys.html",
        error=error,
        done=done,
        name=name,
        keys=shown,
        cursor=following,
        is_first=not cursor,
        is_pending=any(key.sync_status == "pending" and key.is_active and key.kind != "imported" for key in shown),
        interval_minutes=round(sync.interval_seconds / 60),
    )


async def _key_page(
    request: SignedInRequest,
    sync: Sync,
    pages: Pages,
    key_id: int,
    *,
    done: Done | None = None,
    error: AppError | None = None,
) -> Response[Any]:
    user_id = request.user.user_id
    key = await repository.find_key(sync.db, key_id, user_id, sync.stale_seconds)
    manager = key.managed_by and await repository.find_key(sync.db, key.managed_by, user_id, sync.stale_seconds)
    return pages.page(request, "key.html", error=error, done=done, key=key, manager=manager)
