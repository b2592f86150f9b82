"""Who is calling with an API token?"""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from app.errors import RateLimitReached, Unauthenticated
from app.requests import bearer
from app.tokens import secret
from app.tokens.structs import Bearer

BearerRequest = Request[Bearer, Any, State]


async def require_token(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Lets live tokens of live users through, as `request.user`, as often as their rate limit allows."""
    if connection.scope.get("method") == "OPTIONS":
        return  # says which methods there are, and nothing else
    token = bearer(connection)
    if not secret.is_well_formed(token):  # garbage is refused without asking the database
        raise Unauthenticated(credential_sent=True)
    passage = await connection.app.state.authorization.authorize(secret.digest(token))
    connection.scope["user"] = passage.bearer
    if passage.quota is not None:
        connection.scope["state"]["headers"] = passage.quota.headers  # of every answer, errors included
        if passage.quota.is_exhausted:
            raise RateLimitReached(passage.quota.renewed_in_seconds)
