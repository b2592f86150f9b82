"""`/api/v1`: the public API's routes."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from app.database import Database
from app.errors import Invalid, NotFound, NotYours, Unauthenticated, Unavailable
from app.public.structs import CallingToken, Stats
from app.requests import parse_id_parameter
from app.responses import problems
from app.stats import repository as stats
from app.stats.selection import DAYS_MAX, select
from app.stats.structs import Period, Summary
from app.tokens import repository as tokens
from app.tokens.guard import BearerRequest, require_token


class PublicController(Controller):
    """Read only, and only what belongs to the token's owner."""

    path = "/api/v1"
    tags = ("Public API",)
    guards = (require_token,)
    security = [{"API token": []}]  # noqa: RUF012 -- Litestar's own type

    @get(
        "/stats",
        operation_id="getPublicStats",
        summary="What was spent and used",
        responses=problems(Unauthenticated, NotYours, NotFound, Invalid, Unavailable),
    )
    async def get_stats(
        self,
        request: BearerRequest,
        db: NamedDependency[Database],
        days: Annotated[
            int | None, QueryParameter(ge=1, le=DAYS_MAX, description="UTC days up to and with today; 30 by default")
        ] = None,
        start_date: Annotated[date | None, QueryParameter(description="first UTC day, with `end_date`")] = None,
        end_date: Annotated[date | None, QueryParameter(description="last UTC day, with `start_date`")] = None,
        api_key_id: Annotated[str | None, QueryParameter(description="only this key")] = None,
        model: Annotated[str | None, QueryParameter(description="only this model, by OpenRouter's permaslug")] = None,
    ) -> Stats:
        """The sums of a period, over all keys and models or of one."""
        key_id = parse_id_parameter("api_key_id", api_key_id) if api_key_id is not None else None
        selection = select(days, start_date, end_date, key_id, model)
        totals = await stats.sum_usage(db, request.user.user_id, selection)
        return Stats(
            period=Period(totals.start_date, totals.end_date, totals.days),
            summary=msgspec.convert(totals, Summary, from_attributes=True),
            data_as_of=totals.data_as_of,
        )

    @get(
        "/token",
        operation_id="getCallingToken",
        summary="The token that makes this request",
        responses=problems(Unauthenticated, Unavailable),
    )
    async def get_token(self, request: BearerRequest, db: NamedDependency[Database]) -> CallingToken:
        """As its owner sees it in the list, this request counted."""
        entry = await tokens.find_token(db, request.user.token_id, request.user.user_id)
        return CallingToken(**msgspec.structs.asdict(entry))
