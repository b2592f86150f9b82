"""How are figures answered over HTTP? The same way to people and to programs; programs are told when nothing has changed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Operation, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.response import Stream
from litestar.status_codes import HTTP_200_OK, HTTP_304_NOT_MODIFIED

from app.cursors import ByCell, Cursors
from app.database import Database
from app.etags import make_etag, matches
from app.events import repository as events
from app.events.structs import Client
from app.pages import link_to_next, split_page
from app.requests import header_values
from app.responses import JSONResponse
from app.stats import repository
from app.stats.export import place_of, usage_pages
from app.stats.lines import CSV_HEADER, csv_lines, entries_of
from app.stats.parameters import CSV, Format, refuse_paging, wants_csv
from app.stats.selection import Selection
from app.stats.structs import Selected, UsagePage

LIMIT_DEFAULT = 100
IF_NONE_MATCH = b"if-none-match"

# what goes with an entity tag: nobody else's cache may keep it, and a cache of one's own must ask
_TAGGED = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Accept"}

ETAG_HEADER = ResponseHeader(name="ETag", description="for `If-None-Match`", documentation_only=True)
NOT_MODIFIED = {
    HTTP_304_NOT_MODIFIED: ResponseSpec(
        None, description="Nothing has changed since the answer with this `ETag`.", generate_examples=False
    )
}


class UsageQuery(msgspec.Struct, frozen=True):
    """What is asked for, and in which form."""

    selection: Selection
    form: Format | None
    limit: int | None
    cursor: str | None


@dataclass  # without it, the framework's own would never call what is in here
class UsageOperation(Operation):
    """Says in the description that the same is to be had as CSV."""

    def __post_init__(self) -> None:
        """Called by Litestar for each operation."""
        answer = (self.responses or {}).get(str(HTTP_200_OK))
        if isinstance(answer, OpenAPIResponse) and answer.content is not None:
            answer.content[CSV] = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))


def tag_of(user_id: int, state: Selected, *what: Any) -> str:
    """The entity tag of an answer about a selection."""
    return make_etag(user_id, state.usage_version, state.today, *what)


def tagged(etag: str) -> dict[str, str]:
    """The headers of an answer with an entity tag."""
    return {"ETag": etag, **_TAGGED}


def is_conditional(request: Request[Any, Any, Any]) -> bool:
    """Whether the client has an earlier answer."""
    return bool(header_values(request.scope, IF_NONE_MATCH))


def is_known(request: Request[Any, Any, Any], etag: str) -> bool:
    """Whether the client has this answer already."""
    return matches(", ".join(header_values(request.scope, IF_NONE_MATCH)), etag)


def not_modified(etag: str) -> Response[Any]:
    """304, with the headers that the answer would have had."""
    return Response(None, status_code=HTTP_304_NOT_MODIFIED, headers=tagged(etag))


async def answer_usage(
    request: Request[Any, Any, Any],
    db: Database,
    cursors: Cursors,
    user_id: int,
    query: UsageQuery,
    *,
    client: Client | None,
) -> Response[Any]:
    """A page as JSON, or all of it as CSV.

    `client` is a person's, whose downloads are noted; a program's (None) is told when nothing has changed.
    """
    is_tagged = client is None
    as_csv = wants_csv(request, query.form)
    if as_csv:
        refuse_paging(query.limit, query.cursor)
    limit = query.limit or LIMIT_DEFAULT
    bound_to = ("usage", user_id, query.selection)
    place = cursors.read(query.cursor, ByCell, *bound_to) if query.cursor is not None else None
    # the period stays as it was on the first page
    selection = query.selection if place is None else query.selection.within(place.start_date, place.end_date)

    async with db.snapshot() as connection:
        selected = await repository.find_selection(connection, user_id, selection)
        etag = tag_of(user_id, selected, *bound_to, as_csv, limit, query.cursor)
        if is_tagged and is_known(request, etag):
            return not_modified(etag)
        rows = [] if as_csv else await repository.list_usage(connection, user_id, selected, place, limit + 1)

    headers = tagged(etag) if is_tagged else {}
    if as_csv:
        if client is not None and not request.scope["state"]["is_head"]:
            await events.note(db, user_id, "usage_exported", client, selection.key_id)
        return _csv_answer(request, db, user_id, selected, headers)
    shown, cursor = split_page(rows, limit, lambda row: cursors.make(place_of(row, selected), *bound_to))
    page = UsagePage(entries_of(shown), cursor)
    return JSONResponse(page, headers={**headers, **link_to_next(request, cursor)})


def _csv_answer(
    request: Request[Any, Any, Any], db: Database, user_id: int, selected: Selected, headers: dict[str, str]
) -> Response[Any]:
    name = f"usage_{selected.start_date}_{selected.end_date}.csv"
    headers = {**headers, "Content-Disposition": f'attachment; filename="{name}"'}
    lines = _nothing() if request.scope["state"]["is_head"] else _csv(db, user_id, selected)
    return Stream(lines, media_type=f"{CSV}; header=present", headers=headers)


async def _csv(db: Database, user_id: int, selected: Selected) -> AsyncGenerator[bytes]:
    yield CSV_HEADER
    async for rows in usage_pages(db, user_id, selected):
        yield csv_lines(rows)


async def _nothing() -> AsyncGenerator[bytes]:
    for line in ():
        yield line
