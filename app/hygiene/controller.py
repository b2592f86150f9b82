"""`/api/hygiene`: what the person who is logged in should look at."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from app.accounts.guards import CallerRequest, require_caller
from app.database import Database
from app.errors import Invalid, Unauthenticated, Unavailable
from app.hygiene import repository
from app.hygiene.structs import Hygiene
from app.responses import problems


class HygieneController(Controller):
    """Findings about keys and tokens."""

    path = "/api/hygiene"
    tags = ("Hygiene",)
    guards = (require_caller,)
    security = [{"access token": []}]  # noqa: RUF012 -- Litestar's own type

    @get(
        operation_id="getHygiene",
        summary="Which keys and tokens should be looked at, and what to do about them",
        responses=problems(Unauthenticated, Invalid, Unavailable),
    )
    async def get_hygiene(
        self,
        request: CallerRequest,
        db: NamedDependency[Database],
        limit: Annotated[int, QueryParameter(ge=1, le=1000, description="how many of each finding")] = 100,
    ) -> Hygiene:
        """The most urgent first."""
        return await repository.find_findings(db, request.user.user_id, limit)
