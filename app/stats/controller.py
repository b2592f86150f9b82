"""`/api/stats` and `/api/usage`: the figures of the person who is logged in."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from app.accounts.guards import CallerRequest, require_caller
from app.cursors import Cursors
from app.database import Database
from app.errors import Invalid, NotFound, NotYours, Unauthenticated, Unavailable
from app.requests import Clients
from app.responses import problems
from app.stats.answers import UsageOperation, UsageQuery, answer_usage
from app.stats.overview import read_overview
from app.stats.parameters import SELECTION, Format
from app.stats.selection import Selection
from app.stats.structs import Overview, UsagePage


class StatsController(Controller):
    """What a person looks at."""

    path = "/api"
    tags = ("Usage",)
    guards = (require_caller,)
    security = [{"access token": []}]  # noqa: RUF012 -- Litestar's own type
    dependencies = SELECTION

    @get(
        "/stats",
        operation_id="getStats",
        summary="What was spent and used, by day, model and key",
        responses=problems(Unauthenticated, NotYours, NotFound, Invalid, Unavailable),
    )
    async def get_stats(
        self, request: CallerRequest, db: NamedDependency[Database], selection: NamedDependency[Selection]
    ) -> Overview:
        """The sums of a period, taken apart, beside those of the period before, and what the month will come to."""
        return await read_overview(db, request.user.user_id, selection)

    @get(
        "/usage",
        operation_id="listUsage",
        summary="Usage by day, key, model and provider, newest first",
        operation_class=UsageOperation,
        responses=problems(Unauthenticated, NotYours, NotFound, Invalid, Unavailable),
    )
    async def list_usage(
        self,
        request: CallerRequest,
        db: NamedDependency[Database],
        cursors: NamedDependency[Cursors],
        clients: NamedDependency[Clients],
        selection: NamedDependency[Selection],
        form: Annotated[
            Format | None, QueryParameter(name="format", description="as `Accept`, which it overrules")
        ] = None,
        limit: Annotated[int | None, QueryParameter(ge=1, le=1000, description="100 by default; not with CSV")] = None,
        cursor: FromQuery[str | None] = None,
    ) -> Response[UsagePage]:
        """A page as JSON; `text/csv` is the whole selection as a stream, whatever its size."""
        query = UsageQuery(selection, form, limit, cursor)
        return await answer_usage(request, db, cursors, request.user.user_id, query, client=clients.of(request))
