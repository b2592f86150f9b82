"""Which requests need nothing of the framework? The plain ones for what programs ask most.

Its routing, parameters and response classes take most of such a request's time. Authorization, answers and errors are the same
code on both ways, so that they cannot differ; whatever is unusual about a request goes the long way.
"""

from __future__ import annotations

import re
from typing import Any

from litestar.status_codes import HTTP_200_OK
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from app.batching import Batcher
from app.encoding import encode
from app.errors import AppError
from app.public.answers import find_calling_token
from app.public.figures import Figures
from app.responses import WholeResponse, problem_answer
from app.stats.selection import Selection
from app.tokens.authorization import Authorization
from app.tokens.guard import admit
from app.tokens.structs import TokenEntry

STATS_PATH, TOKEN_PATH = "/api/v1/stats", "/api/v1/token"
PATHS = frozenset({STATS_PATH, TOKEN_PATH})
QUERIES_MAX = 1024
QUERY_MAX_BYTES = 256

# what the framework has to judge, and what asks for another answer than the plain one
_UNUSUAL = frozenset(
    {b"content-length", b"content-type", b"expect", b"if-none-match", b"transfer-encoding", b"upgrade"}
)
_HOST = re.compile(rb"[0-9A-Za-z.:\[\]-]+")


class Selections:
    """What queries mean that the framework has read before. It alone judges those that are new."""

    def __init__(self) -> None:
        """There are none yet."""
        self._by_query: dict[bytes, Selection] = {}

    def learn(self, query: bytes, selection: Selection) -> None:
        """`query`, as it was sent, means `selection`."""
        if len(query) > QUERY_MAX_BYTES or query in self._by_query:
            return
        if len(self._by_query) >= QUERIES_MAX:
            del self._by_query[next(iter(self._by_query))]
        self._by_query[query] = selection

    def get(self, query: bytes) -> Selection | None:
        """What it means, if that is known."""
        return self._by_query.get(query)


class Shortcut:
    """Answers the plain requests, and hands all others on."""

    def __init__(
        self,
        app: ASGIApp,
        selections: Selections,
        authorization: Authorization,
        figures: Figures,
        entries: Batcher[Any, TokenEntry | None],
    ) -> None:
        """`app`: the long way. The other parts are those that its routes use too."""
        self._app = app
        self._selections = selections
        self._authorization = authorization
        self._figures = figures
        self._entries = entries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http" or scope["path"] not in PATHS or not _is_plain(scope):
            await self._app(scope, receive, send)
        elif scope["path"] == TOKEN_PATH and not scope["query_string"]:
            await self._answer(scope, receive, send, None)
        elif scope["path"] == STATS_PATH and (selection := self._selections.get(scope["query_string"])):
            await self._answer(scope, receive, send, selection)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, selection: Selection | None) -> None:
        """The stats of the selection; the token itself without one."""
        scope["path_template"] = scope["path"]  # for what is told of the request
        try:
            caller = await admit(scope, self._authorization)
            if selection is not None:
                answer = await self._figures.find_stats(caller, selection)
                response = WholeResponse(HTTP_200_OK, answer.headers, answer.body)
            else:
                entry = await find_calling_token(self._entries, caller, self._authorization.limit)
                response = WholeResponse(HTTP_200_OK, {}, encode(entry))
        except AppError as error:
            response = problem_answer(scope, error)
        await response(scope, receive, send)


def _is_plain(scope: HTTPScope) -> bool:
    if scope["method"] != "GET" or scope.get("root_path"):
        return False
    hosts = 0
    for name, value in scope["headers"]:
        if name == b"host":
            if not _HOST.fullmatch(value):
                return False
            hosts += 1
        elif name in _UNUSUAL:
            return False
    return hosts == 1
