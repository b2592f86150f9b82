"""`/api/v1`: the public API's routes."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Controller, MediaType, Response
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from app.cursors import ByTime, Cursors
from app.database import Database
from app.errors import Invalid, NotFound, NotYours, RateLimitReached, Unauthenticated, Unavailable
from app.etags import make_etag
from app.keys import repository as keys
from app.keys.structs import KeyEntry
from app.pages import link_to_next, split_page
from app.public.answers import find_calling_token
from app.public.figures import tag_of_stats
from app.public.metrics import CONTENT_TYPE, exposition
from app.public.structs import CallingToken, KeysPage, PublicKey
from app.replica import Reader
from app.responses import JSONResponse, problems
from app.routing import get
from app.stats import repository as stats
from app.stats.answers import (
    ETAG_HEADER,
    NOT_MODIFIED,
    UsageOperation,
    UsageQuery,
    answer_usage,
    is_conditional,
    is_known,
    not_modified,
    tagged,
)
from app.stats.parameters import SELECTION, Format
from app.stats.selection import Selection
from app.stats.structs import KeyModelFigures, Stats, UsagePage
from app.tokens.guard import BearerRequest, require_token
from app.usage.reading import Sync

_GUARDED = (Unauthenticated, RateLimitReached, Unavailable)


class PublicController(Controller):
    """Read only, and only what belongs to the token's owner.

    What is asked most takes its parts from the application's state: the framework makes tasks of two dependencies and more, which
    would be a fifth of such a request's time.
    """

    path = "/api/v1"
    tags = ("Public API",)
    guards = (require_token,)
    security = [{"API token": []}]  # noqa: RUF012 -- Litestar's own type
    dependencies = SELECTION

    @get(
        "/stats",
        operation_id="getPublicStats",
        summary="What was spent and used",
        response_headers=[ETAG_HEADER],
        responses=NOT_MODIFIED | problems(*_GUARDED, NotYours, NotFound, Invalid),
    )
    async def get_stats(self, request: BearerRequest, selection: NamedDependency[Selection]) -> Response[Stats]:
        """The sums of a period, over all keys and models or of one."""
        user_id, state = request.user.user_id, request.app.state
        if is_conditional(request):
            selected = await _reader(request).read(lambda db: stats.find_selection(db, user_id, selection))
            if is_known(request, etag := tag_of_stats(user_id, selected, selection)):
                return not_modified(etag)
        answer = await state.figures.find_stats(request.user, selection)
        state.selections.learn(request.scope["query_string"], selection)
        return JSONResponse(answer.body, headers=answer.headers)

    @get(
        "/usage",
        operation_id="listPublicUsage",
        summary="Usage by day, key, model and provider, newest first",
        operation_class=UsageOperation,
        response_headers=[ETAG_HEADER],
        responses=NOT_MODIFIED | problems(*_GUARDED, NotYours, NotFound, Invalid),
    )
    async def list_usage(
        self,
        request: BearerRequest,
        cursors: NamedDependency[Cursors],
        selection: NamedDependency[Selection],
        form: Annotated[
            Format | None, QueryParameter(name="format", description="as `Accept`, which it overrules")
        ] = None,
        limit: Annotated[int | None, QueryParameter(ge=1, le=1000, description="100 by default; not with CSV")] = None,
        cursor: FromQuery[str | None] = None,
    ) -> Response[UsagePage]:
        """A page as JSON; `text/csv` is the whole selection as a stream, whatever its size."""
        query = UsageQuery(selection, form, limit, cursor)
        return await _reader(request).read(
            lambda db: answer_usage(request, db, cursors, request.user.user_id, query, client=None)
        )

    @get(
        "/keys",
        operation_id="listPublicKeys",
        summary="The OpenRouter keys, newest first",
        response_headers=[ETAG_HEADER],
        responses=NOT_MODIFIED | problems(*_GUARDED, Invalid),
    )
    async def list_keys(
        self,
        request: BearerRequest,
        sync: NamedDependency[Sync],
        cursors: NamedDependency[Cursors],
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
        cursor: FromQuery[str | None] = None,
    ) -> Response[KeysPage]:
        """Without secrets, and without what only their owner needs."""
        return await _reader(request).read(
            lambda db: answer_keys(request, db, cursors, sync.stale_seconds, limit, cursor)
        )

    @get(
        "/metrics",
        operation_id="getPublicMetrics",
        summary="The figures as gauges for Prometheus",
        media_type=MediaType.TEXT,
        responses=problems(*_GUARDED),
    )
    async def get_metrics(self, request: BearerRequest, sync: NamedDependency[Sync]) -> Response[Any]:
        """By key and model: today, this UTC month, all time; limits, what is left of them, and credits."""
        user_id = request.user.user_id

        async def read(db: Database) -> tuple[list[KeyModelFigures], list[KeyEntry]]:
            async with db.snapshot() as connection:
                figures = await stats.list_gauges(connection, user_id)
                return figures, await keys.list_keys(connection, user_id, sync.stale_seconds, None, keys.ALL)

        # thousands of models take a while to write
        body = await asyncio.to_thread(exposition, *await _reader(request).read(read))
        return Response(body, media_type=CONTENT_TYPE)

    @get(
        "/token",
        operation_id="getCallingToken",
        summary="The token that makes this request",
        responses=problems(*_GUARDED),
    )
    async def get_token(self, request: BearerRequest) -> CallingToken:
        """As its owner sees it in the list, this request counted."""
        state = request.app.state
        return await find_calling_token(state.entries, request.user, state.authorization.limit)


def _reader(request: BearerRequest) -> Reader:
    return request.app.state.reader


async def answer_keys(
    request: BearerRequest, db: Database, cursors: Cursors, stale_seconds: float, limit: int, cursor: str | None
) -> Response[KeysPage]:
    """A page of the caller's keys, with an entity tag of the moment that it shows."""
    user_id, bound_to = request.user.user_id, ("public keys", request.user.user_id)
    place = cursors.read(cursor, ByTime, *bound_to) if cursor is not None else None
    async with db.snapshot() as connection:
        state = await keys.sum_keys(connection, user_id, stale_seconds)
        etag = make_etag(*bound_to, msgspec.structs.astuple(state), limit, cursor)
        if is_known(request, etag):
            return not_modified(etag)
        before = place and place.before
        found = await keys.list_keys(connection, user_id, stale_seconds, before, limit + 1)
    shown, following = split_page(found, limit, lambda key: cursors.make(ByTime.of(key.created_at, key.id), *bound_to))
    page = KeysPage(msgspec.convert(shown, list[PublicKey], from_attributes=True), state.total, following)
    return JSONResponse(page, headers={**tagged(etag), **link_to_next(request, following)})
