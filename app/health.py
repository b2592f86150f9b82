"""Is the process alive, and is it ready for requests? For load balancers and orchestrators; says nothing else."""

from __future__ import annotations

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency

from app.database import Database, Query
from app.errors import Unavailable
from app.responses import problems

check_database = Query("health/check_database", bool)


class Readiness:
    """Whether this process wants requests at all."""

    def __init__(self) -> None:
        """It does, until it is told to end."""
        self.is_ending = False

    def end(self) -> None:
        """What comes is still answered, but load balancers should send it elsewhere."""
        self.is_ending = True


class Health(msgspec.Struct, frozen=True):
    """All is well."""

    status: str = "ok"


class HealthController(Controller):
    """Both are public and carry no data."""

    tags = ("Health",)

    @get(
        "/livez",
        operation_id="livez",
        summary="Is the process alive? Does not touch the database.",
        responses=problems(),
    )
    async def livez(self) -> Health:
        """Always 200 while requests are answered at all."""
        return Health()

    @get("/readyz", operation_id="readyz", summary="Is the service ready?", responses=problems(Unavailable))
    async def readyz(self, db: NamedDependency[Database], readiness: NamedDependency[Readiness]) -> Health:
        """503 while the database is away or read-only, and once the process has been told to end."""
        if readiness.is_ending or not await check_database.get(db):
            raise Unavailable
        return Health()
