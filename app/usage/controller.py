"""`/api/imports`: history that OpenRouter's API does not give any more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import QueryParameter
from litestar.status_codes import HTTP_200_OK

from app.accounts.guards import CallerRequest, require_caller
from app.database import Database
from app.errors import BODY_ERRORS, Invalid, NotFound, NotYours, Unauthenticated, Unavailable
from app.requests import Clients, parse_id_parameter
from app.responses import problems
from app.usage.imports import import_activity
from app.usage.structs import ImportReport
from app.usage.uploads import a_place, uploaded_file


@dataclass  # without it, the framework's own would never call what is in here
class ImportOperation(Operation):
    """Says what the body is, which no annotation can: it is read as a stream."""

    def __post_init__(self) -> None:
        """Called by Litestar for each operation."""
        file = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        form = Schema(type=OpenAPIType.OBJECT, properties={"file": file}, required=["file"])
        self.request_body = RequestBody(
            required=True,
            content={
                "text/csv": OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING)),
                "multipart/form-data": OpenAPIMediaType(schema=form),
            },
        )


class ImportsController(Controller):
    """A person brings what they exported."""

    path = "/api/imports"
    tags = ("Usage",)
    guards = (require_caller,)
    security = [{"access token": []}]  # noqa: RUF012 -- Litestar's own type

    @post(
        "/activity",
        operation_id="importActivity",
        summary="Import an activity export of OpenRouter",
        status_code=HTTP_200_OK,
        request_max_body_size=None,  # any size: it is read as a stream
        operation_class=ImportOperation,
        responses=problems(*BODY_ERRORS, Unauthenticated, NotYours, NotFound, Invalid, Unavailable),
    )
    async def import_activity(
        self,
        request: CallerRequest,
        db: NamedDependency[Database],
        clients: NamedDependency[Clients],
        import_places: NamedDependency[asyncio.Semaphore],
        api_key_id: Annotated[str | None, QueryParameter(description="book it all on this key")] = None,
    ) -> ImportReport:
        """Each generation counts once, however often it is imported. Lines that cannot be read are reported and stop nothing."""
        key_id = parse_id_parameter("api_key_id", api_key_id) if api_key_id is not None else None
        pieces = uploaded_file(request, "text/csv", "file")
        async with a_place(import_places):
            return await import_activity(db, request.user.user_id, pieces, key_id, client=clients.of(request))
