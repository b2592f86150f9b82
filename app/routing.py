"""Which of the framework's route handlers are not good enough for what is asked most?"""

from __future__ import annotations

from typing import Any

from litestar import HttpMethod
from litestar.connection import ASGIConnection
from litestar.handlers import HTTPRouteHandler


class LeanHandler(HTTPRouteHandler):
    """Gives itself to its guards; the framework's makes a copy of itself for each guard of each request."""

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """Runs the guards."""
        for guard in self.resolve_guards():
            await guard(connection, self)  # pyright: ignore[reportGeneralTypeIssues] -- ours are coroutines


def get(path: str, **options: Any) -> LeanHandler:
    """Stands for the framework's own decorator of that name."""
    return LeanHandler(path, http_method=HttpMethod.GET, **options)
