"""Who is calling with an API token?"""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from app.errors import Unauthenticated
from app.requests import bearer
from app.tokens import repository, secret
from app.tokens.structs import Bearer

BearerRequest = Request[Bearer, Any, State]


async def require_token(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Lets live tokens of live users through, as `request.user`."""
    if connection.scope.get("method") == "OPTIONS":
        return  # says which methods there are, and nothing else
    connection.scope["user"] = await authorize(connection)


async def authorize(connection: ASGIConnection[Any, Any, Any, Any]) -> Bearer:
    """The verdict on one request, and the only place it is made. Garbage is refused without asking the database."""
    token = bearer(connection)
    if not secret.is_well_formed(token):
        raise Unauthenticated(credential_sent=True)
    return await repository.authorize_token(connection.app.state.db, secret.digest(token))
