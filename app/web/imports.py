"""How does history that OpenRouter has forgotten get in? An export, dropped on a page."""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency

from app.database import Database
from app.errors import AppError
from app.events.structs import Client
from app.keys import repository as keys
from app.requests import Clients, parse_id_parameter
from app.usage.imports import import_activity
from app.usage.reading import Sync
from app.usage.structs import ImportReport
from app.usage.uploads import a_place, uploaded_form
from app.web.forms import FORM_TOKEN, require_form_token
from app.web.guards import SignedInRequest, require_own_page, require_session
from app.web.pages import Pages

CHOICES_MAX = 500


class ImportPages(Controller):
    """The form and the report."""

    path = "/import"
    guards = (require_own_page, require_session)
    include_in_schema = False

    @get()
    async def show(
        self, request: SignedInRequest, sync: NamedDependency[Sync], pages: NamedDependency[Pages]
    ) -> Response[Any]:
        """What to do."""
        return await _page(request, sync, pages)

    @post(request_max_body_size=None)  # any size: it is read as a stream
    async def import_file(
        self,
        request: SignedInRequest,
        sync: NamedDependency[Sync],
        clients: NamedDependency[Clients],
        pages: NamedDependency[Pages],
        import_places: NamedDependency[asyncio.Semaphore],
    ) -> Response[Any]:
        """What became of it. Sent again by a reload it changes nothing: each generation counts once."""
        try:
            report = await _import(request, sync.db, import_places, clients.of(request))
        except AppError as error:
            return await _page(request, sync, pages, error=error)
        return await _page(request, sync, pages, report=report)


async def _import(request: SignedInRequest, db: Database, places: asyncio.Semaphore, client: Client) -> ImportReport:
    fields, pieces = await uploaded_form(request, "file")
    require_form_token(request, fields.get(FORM_TOKEN, ""))
    given = fields.get("api_key_id", "")
    key_id = parse_id_parameter("api_key_id", given) if given else None
    async with a_place(places):
        return await import_activity(db, request.user.user_id, pieces, key_id, client=client)


async def _page(
    request: SignedInRequest,
    sync: Sync,
    pages: Pages,
    *,
    report: ImportReport | None = None,
    error: AppError | None = None,
) -> Response[Any]:
    found = await keys.list_keys(sync.db, request.user.user_id, sync.stale_seconds, None, CHOICES_MAX)
    choices = [key for key in found if key.kind != "management"]
    return pages.page(request, "import.html", error=error, report=report, keys=choices)
