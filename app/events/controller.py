"""`/api/events`: what happened to the account of the person who is logged in."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from app.accounts.guards import CallerRequest, require_caller
from app.cursors import ByTime, Cursors
from app.database import Database
from app.errors import Invalid, Unauthenticated, Unavailable
from app.events import repository
from app.events.structs import Event
from app.pages import page_of
from app.responses import JSONResponse, problems


class EventsController(Controller):
    """Read only: nobody changes what has happened."""

    path = "/api/events"
    tags = ("Accounts",)
    guards = (require_caller,)
    security = [{"access token": []}]  # noqa: RUF012 -- Litestar's own type

    @get(
        operation_id="listEvents",
        summary="Your account's security events, the latest first",
        responses=problems(Unauthenticated, Invalid, Unavailable),
    )
    async def list_events(
        self,
        request: CallerRequest,
        db: NamedDependency[Database],
        cursors: NamedDependency[Cursors],
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
        cursor: FromQuery[str | None] = None,
    ) -> JSONResponse[list[Event]]:
        """Who logged in and from where, what was made, revoked, changed and taken out; `Link` leads to the next page."""
        bound_to = ("events", request.user.user_id)
        before_id = cursors.read(cursor, ByTime, *bound_to).row_id if cursor is not None else None
        events = await repository.list_events(db, request.user.user_id, before_id, limit + 1)
        return page_of(
            request, events, limit, lambda event: cursors.make(ByTime.of(event.occurred_at, event.id), *bound_to)
        )
