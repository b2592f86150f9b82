"""Who is calling with an access token?"""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from app.accounts import repository
from app.accounts.structs import Caller
from app.requests import bearer

CallerRequest = Request[Caller, Any, State]


async def require_caller(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Lets live sessions of live users through, as `request.user`. The database is asked each time: nothing is cached."""
    if connection.scope.get("method") == "OPTIONS":
        return  # says which methods there are, and nothing else
    claims = connection.app.state.signer.read(bearer(connection.scope))
    connection.scope["user"] = await repository.find_caller(connection.app.state.db, claims.session_id, claims.user_id)
