"""Who is calling with an API token?"""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.types import Scope

from app.errors import RateLimitReached, Unauthenticated
from app.requests import bearer
from app.tokens import secret
from app.tokens.authorization import Authorization
from app.tokens.structs import Bearer

BearerRequest = Request[Bearer, Any, State]


async def require_token(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Lets live tokens of live users through, as `request.user`, as often as their rate limit allows."""
    if connection.scope.get("method") == "OPTIONS":
        return  # says which methods there are, and nothing else
    await admit(connection.scope, connection.app.state.authorization)


async def admit(scope: Scope, authorization: Authorization) -> Bearer:
    """Whose live token the request carries; it counts against the token's rate limit.

    Raises Unauthenticated, RateLimitReached and Unavailable.
    """
    token = bearer(scope)
    if not secret.is_well_formed(token):  # garbage is refused without asking the database
        raise Unauthenticated(credential_sent=True)
    passage = await authorization.authorize(secret.digest(token))
    scope["user"] = passage.bearer
    if passage.quota is not None:
        scope["state"]["headers"] = passage.quota.headers  # of every answer, errors included
        if passage.quota.is_exhausted:
            raise RateLimitReached(passage.quota.renewed_in_seconds)
    return passage.bearer
