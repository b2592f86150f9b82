"""`/metrics`: for the operator's Prometheus, on the same machine or with `METRICS_TOKEN`."""

from __future__ import annotations

import asyncio
import hmac
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from litestar import Controller, MediaType, Request, Response, get
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler

from app.database import Database
from app.errors import Forbidden, Unauthenticated, Unavailable
from app.metrics.repository import list_sync_states
from app.requests import AnyConnection, bearer, header_values
from app.responses import problems

CONTENT_TYPE = "text/plain; version=0.0.4"  # the framework adds the charset

# by which a request shows that it came through a proxy, so perhaps from anywhere, whatever they say
FORWARDING = (b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"forwarded", b"via")


class NotForYou(Forbidden):
    """The metrics are for the machine that the service runs on; from elsewhere they need METRICS_TOKEN."""


async def require_operator(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Lets through who has the token, and who is on this machine."""
    if connection.scope.get("method") == "OPTIONS":
        return  # says which methods there are, and nothing else
    token: str | None = connection.app.state.metrics_token
    if token is not None and header_values(connection.scope, b"authorization"):
        if not hmac.compare_digest(bearer(connection.scope).encode(), token.encode()):
            raise Unauthenticated(credential_sent=True)
    elif not is_from_here(connection):
        raise NotForYou if token is None else Unauthenticated


def is_from_here(connection: AnyConnection) -> bool:
    """Whether it is certain that somebody on this machine asks, and not a proxy on it for somebody else."""
    client = connection.client
    try:
        is_loopback = client is not None and ip_address(client.host).is_loopback
    except ValueError:
        return False
    return is_loopback and not any(header_values(connection.scope, name) for name in FORWARDING)


class MetricsController(Controller):
    """Of all processes of this server."""

    tags = ("Health",)
    guards = (require_operator,)

    @get(
        "/metrics",
        operation_id="getMetrics",
        summary="How the service does, for Prometheus",
        description="From the machine itself, or with the operator's `METRICS_TOKEN` as `Authorization: Bearer …`.",
        media_type=MediaType.TEXT,
        responses=problems(Unauthenticated, NotForYou),
    )
    async def get_metrics(self, request: Request[Any, Any, Any], db: NamedDependency[Database]) -> Response[Any]:
        """Also while the database is away, which is one of the figures."""
        states = None
        with suppress(Unavailable):
            states = await list_sync_states(db)
        metrics = request.app.state.metrics
        return Response(await asyncio.to_thread(metrics.exposition, states), media_type=CONTENT_TYPE)
