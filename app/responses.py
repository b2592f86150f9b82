"""How is an answer written? One JSON encoding, one form of error, and the headers that every answer carries."""

from __future__ import annotations

import re
import secrets
import traceback
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, Generic, TypeVar

import asyncpg
import msgspec
import structlog
from litestar import MediaType, Request, Response
from litestar.datastructures import State
from litestar.exceptions import (
    HTTPException,
    InternalServerException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.openapi.datastructures import ResponseSpec
from litestar.response.base import ASGIResponse
from litestar.status_codes import HTTP_200_OK, HTTP_204_NO_CONTENT, HTTP_304_NOT_MODIFIED
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from app.encoding import encode
from app.errors import AppError, Invalid, Malformed, MethodNotAllowed, NotFound, Problem, TooLarge

T = TypeVar("T")

PROBLEM_JSON = "application/problem+json"
CLIENT_IS_GONE = "client disconnected prematurely"  # how the framework puts it, and calls it a server error
NOT_UNDERSTOOD = "The request cannot be understood."
# goes into the log, so nothing that begins as a token of ours or a key of OpenRouter's does, whoever mixed up two headers
REQUEST_ID = re.compile("(?!or_|sk-or-)[A-Za-z0-9._-]{1,128}", re.ASCII)

logger: FilteringBoundLogger = structlog.get_logger(__name__)


class JSONResponse(Response[T], Generic[T]):
    """Encodes money as exact numbers."""

    def render(self, content: Any, media_type: str, enc_hook: Any = None) -> bytes:  # noqa: ARG002 -- Litestar's signature
        """The body."""
        if isinstance(content, bytes):
            return content
        return b"" if content is None and self.status_code == 204 else encode(content)  # noqa: PLR2004 -- No Content

    def to_asgi_response(
        self,
        app: Any,
        request: Any,
        *,
        headers: dict[str, str] | None = None,
        media_type: Any = None,
        status_code: int | None = None,
        **others: Any,
    ) -> ASGIResponse:
        """As the framework's own does it, where there is nothing but status, headers and body, but in a fraction of the time."""
        if self.cookies or self.background or others.get("cookies") or others.get("background"):
            more: Any = {"headers": headers, "media_type": media_type, "status_code": status_code, **others}
            return super().to_asgi_response(app, request, **more)
        status, kind = self.status_code or status_code or HTTP_200_OK, self.media_type or media_type or MediaType.JSON
        return WholeResponse(status, {**(headers or {}), **self.headers}, self.render(self.content, kind), kind)


class WholeResponse(ASGIResponse):
    """Is sent as it is."""

    def __init__(self, status: int, named: Mapping[str, str], body: bytes, media_type: str = MediaType.JSON) -> None:
        """`named`: the headers, but for those that describe the body."""
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
        if status not in {HTTP_204_NO_CONTENT, HTTP_304_NOT_MODIFIED}:
            headers += [(b"content-type", media_type.encode("latin-1")), (b"content-length", b"%d" % len(body))]
        self._start: Any = {"type": "http.response.start", "status": status, "headers": headers}
        self._body: Any = {"type": "http.response.body", "body": body, "more_body": False}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- ASGI's signature
        await send(self._start)
        await send(self._body)


def problem_response(request: Request[Any, Any, State], error: AppError) -> Response[Any]:
    """An error of ours as RFC 9457 wants it."""
    note_problem(request.scope, error)
    return JSONResponse(error.problem(), status_code=error.status, media_type=PROBLEM_JSON, headers=error.headers)


def problem_answer(scope: Scope, error: AppError) -> WholeResponse:
    """The same, ready to be sent."""
    note_problem(scope, error)
    return WholeResponse(error.status, error.headers, encode(error.problem()), PROBLEM_JSON)


def note_problem(scope: Scope, error: AppError) -> None:
    """For what is told of the request."""
    scope["state"]["problem"] = error.code


def framework_problem(request: Request[Any, Any, State], error: HTTPException) -> Response[Any]:
    """The framework's own refusals in the same form, without its words."""
    return problem_response(request, as_app_error(request, error))


def as_app_error(request: Request[Any, Any, State], error: HTTPException) -> AppError:
    """What the framework refused, as an error of ours."""
    is_cut_off = isinstance(error, InternalServerException) and error.detail == CLIENT_IS_GONE
    answer = Malformed("The request body ended too early.") if is_cut_off else _translate(request, error)
    if answer.status == AppError.status:
        log_unexpected(error, request.scope)
    return answer


def unexpected_problem(request: Request[Any, Any, State], error: Exception) -> Response[Any]:
    """Anything else is a bare 500; what happened is in the log, under the request's id."""
    log_unexpected(error, request.scope)
    return problem_response(request, AppError())


def _translate(request: Request[Any, Any, State], error: HTTPException) -> AppError:
    match error:
        case ValidationException():
            return Invalid(*_invalid_fields(request, error))
        case RequestEntityTooLarge():
            return TooLarge()
        case NotFoundException():
            return NotFound()
        case MethodNotAllowedException():
            allowed = set((error.headers or {}).get("allow", "").split(", ")) - {""}
            return MethodNotAllowed(allowed)
        case _ if error.status_code < 500:  # noqa: PLR2004 -- the client's faults
            refusal = AppError(NOT_UNDERSTOOD)
            refusal.status, refusal.code = error.status_code, "bad_request"
            return refusal
        case _:
            return AppError()


def _invalid_fields(request: Request[Any, Any, State], error: ValidationException) -> list[tuple[str, str]]:
    extra: Any = error.extra or []
    names = request.app.state.query_parameters[request.route_handler.handler_id].by_argument
    # msgspec quotes the value of an enum; a value in the wrong place may be a secret
    fields = [
        (names.get(key := item.get("key", ""), key), re.sub(r" ['\"].*$", "", item.get("message", ""), flags=re.DOTALL))
        for item in extra
    ]
    if not fields and (missing := re.search(r"parameter '?(\w+)'?", error.detail)):
        fields = [(missing[1], "is required")]
    return fields or [("", "the request is not valid")]


def log_unexpected(error: BaseException, scope: Scope) -> None:
    """Where it happened and what kind it is. The driver's own words are left out: they quote values."""
    quotes_values = isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError)
    logger.error(
        "unexpected error",
        request_id=scope.get("state", {}).get("request_id"),
        kind=type(error).__name__,
        error="" if quotes_values else str(error),
        trace="".join(traceback.format_tb(error.__traceback__)),
    )


def problems(*errors: type[AppError]) -> dict[int, ResponseSpec]:
    """For OpenAPI: which errors an endpoint answers, beside those that every endpoint may."""
    described: dict[int, list[str]] = {}
    for error in errors:
        described.setdefault(error.status, []).append((error.__doc__ or "").split("\n")[0])
    described.setdefault(400, [NOT_UNDERSTOOD])  # or else the framework describes one of its own, in another form
    described.setdefault(422, [(Invalid.__doc__ or "")])  # an unknown query parameter is enough
    return {
        status: ResponseSpec(Problem, description=" / ".join(texts), media_type=PROBLEM_JSON, generate_examples=False)
        for status, texts in sorted(described.items())
    }


class Answered(msgspec.Struct, frozen=True, gc=False):
    """A request whose answer has ended, or broken off. `status` 0: there was none; `size`: of the body in bytes."""

    scope: Scope
    method: str
    status: int
    size: int
    seconds: float


class Edge:
    """Wraps the whole application, routing included, because every answer keeps the same manners."""

    def __init__(self, app: ASGIApp, tell: Callable[[Answered], None]) -> None:
        """`app` answers what comes through; `tell` is told of each answer when it has ended."""
        self._app = app
        self._tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """HEAD is GET without its body; every answer has an id and the headers that keep browsers and caches honest."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, size = perf_counter(), 0, 0
        method = scope["method"]
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        is_head = method == "HEAD"
        scope["state"]["is_head"] = is_head  # for those who would make a long body for nobody
        if is_head:
            scope["method"] = "GET"

        async def send_with_manners(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_common_headers(
                    message["headers"], request_id, scope["state"].get("headers", [])
                )
            elif message["type"] == "http.response.body":
                if is_head:
                    message["body"] = b""
                size += len(message["body"])
            await send(message)

        try:
            await self._app(scope, receive, send_with_manners)
        except Exception as error:
            log_unexpected(error, scope)
            if status:
                raise  # the server breaks the connection; half an answer must not look like a whole one
            note_problem(scope, AppError())
            await _send_bare_error(send_with_manners)
        finally:
            self._tell(Answered(scope, method, status, size, perf_counter() - began))


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID.fullmatch(given := value.decode("latin-1")):
            return given
    return secrets.token_hex(8)


_COMMON_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"server", b"openrouter-watcher"),
]


def _with_common_headers(
    headers: Any, request_id: str, added: Sequence[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """`added`: what a guard has to say with every answer."""
    present = {name for name, _ in headers}
    if b"allow" in present:
        headers = [(name, _with_head(value) if name == b"allow" else value) for name, value in headers]
    return [
        *headers,
        *added,
        (b"x-request-id", request_id.encode("ascii")),
        (b"x-content-type-options", b"nosniff"),
        *(header for header in _COMMON_HEADERS if header[0] not in present),
    ]


def _with_head(allow: bytes) -> bytes:
    """The routes know nothing of HEAD: it is made here, wherever there is a GET."""
    return b", ".join(sorted({*allow.split(b", "), b"HEAD"})) if b"GET" in allow else allow


async def _send_bare_error(send: Send) -> None:
    body = encode(AppError().problem())
    headers = [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
