"""What is told of each request, when its answer has ended? A line in the log, and the operator's figures."""

from __future__ import annotations

import logging
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger

from app.metrics.instruments import Metrics
from app.requests import Clients
from app.responses import Answered

# what balancers and orchestrators ask every few seconds
HEALTH = frozenset({"/livez", "/readyz"})
METHOD_MAX = 20

logger: FilteringBoundLogger = structlog.get_logger(__name__)


class Traffic:
    """Tells of it: which route and never which address, so that nothing in a path or a query is written down."""

    def __init__(self, clients: Clients, metrics: Metrics) -> None:
        """`clients` knows where requests come from, `metrics` counts them."""
        self._clients = clients
        self._metrics = metrics
        self._logger: FilteringBoundLogger = logger.bind()  # looked up once, not with each request
        self._tells_health = self._logger.is_enabled_for(logging.DEBUG)

    def __call__(self, answered: Answered) -> None:
        """The fields are described in docs/operate.md."""
        scope: Any = answered.scope
        state, route = scope["state"], scope.get("path_template")
        problem = state.get("problem")
        self._metrics.answered(answered.method, route, answered.status, answered.seconds, problem)
        if route in HEALTH and not self._tells_health:
            return
        fields = {
            "request_id": state["request_id"],
            "method": answered.method[:METHOD_MAX],
            "route": route,
            "status": answered.status or None,
            "duration_ms": round(answered.seconds * 1000, 2),
            "bytes": answered.size,
            "client": self._clients.address_in(scope),
        }
        user = scope.get("user")
        if user is not None:
            fields["user_id"] = user.user_id
            if (token_id := getattr(user, "token_id", None)) is not None:
                fields["token_id"] = token_id
        if problem is not None:
            fields["problem"] = problem
        (self._logger.debug if route in HEALTH else self._logger.info)("answered", **fields)
