"""Does every route, and every answer, keep the manners that the contract promises for all of them?"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from typing import Any

import asyncpg
import httpx
import pytest
from litestar import Litestar, Request, get
from litestar.routes import HTTPRoute

from app.accounts.guards import require_caller
from app.database import Query
from app.main import create_litestar
from app.responses import Edge
from app.settings import Settings
from app.tokens.guard import require_token
from app.web.guards import require_own_page, require_session
from tests.cast import Person, bearer
from tests.conftest import SECRET, lifespan, new_database, quiet_settings, running_app

# what may be called without a credential; a new entry is made here on purpose
PUBLIC = {
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),  # to the machine itself; see tests/metrics
    ("GET", "/schema/openapi.json"),
    ("POST", "/api/auth/register"),
    ("POST", "/api/auth/login"),
    ("POST", "/api/auth/refresh"),
}
# what a browser may ask for without a session
PUBLIC_PAGES = {
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("GET", "/sign-up"),
    ("POST", "/sign-up"),
    ("GET", "/reference"),
    ("GET", "/static/{name}"),
}
# the framework's own, which says nothing that openapi.json does not
FRAMEWORK = "/schema"

APP = create_litestar(
    Settings(jwt_secrets=(SECRET,), encryption_keys=(SECRET,), database_url="postgresql://nobody@127.0.0.1:1/nothing")
)  # to be walked
HANDLERS = {
    (method, route.path_format): handler
    for route in APP.routes
    if isinstance(route, HTTPRoute)
    for method, (handler, _) in route.route_handler_map.items()
    if method != "OPTIONS"
}
PATHS = sorted({path for _, path in HANDLERS})
PAGES = {
    key
    for key, handler in HANDLERS.items()
    if not handler.resolve_include_in_schema() and not key[1].startswith(FRAMEWORK)
}
GUARDED = sorted(HANDLERS.keys() - PUBLIC - PAGES - {key for key in HANDLERS if key[1].startswith(FRAMEWORK)})
GETS = sorted(path for method, path in HANDLERS.keys() - PAGES if method == "GET")
SERVED = [path for path in GETS if not path.startswith(FRAMEWORK) or path.endswith("/openapi.json")]


def filled(path: str) -> str:
    """A path with something in the place of its parameters."""
    return "/".join("1" if part.startswith("{") else part for part in path.split("/"))


@pytest.fixture(scope="module")
async def alice(server_url: str, template: str) -> AsyncGenerator[Person]:
    """One service and one account for all of these tests: they ask, and change nothing that another one needs."""
    async with new_database(server_url, template) as url, running_app(quiet_settings(url)) as client:
        yield await Person.arrives(client, "alice@example.com")


@pytest.fixture(scope="module")
async def client(alice: Person) -> httpx.AsyncClient:
    """Of that service."""
    return alice.client


@pytest.fixture(scope="module")
async def credentials(alice: Person) -> dict[Any, dict[str, str]]:
    """The right header for each guard."""
    token = (await alice.creates_token())["token"]
    return {require_caller: alice.headers, require_token: bearer(token)}


def right(credentials: dict[Any, dict[str, str]], method: str, path: str) -> dict[str, str]:
    """What this route asks for."""
    guards = HANDLERS[method, path].resolve_guards()
    return next((header for guard, header in credentials.items() if guard in guards), {})


def assert_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"] == f"urn:openrouter-watcher:problem:{problem['code']}"
    assert {"title", "detail"} <= problem.keys() <= {"type", "title", "status", "detail", "code", "errors"}
    assert ("errors" in problem) == (status == 422)
    for inside in ("Traceback", "asyncpg", "litestar", "SELECT", ".py", "/app/"):
        assert inside not in answer.text
    return problem


def assert_manners(answer: httpx.Response) -> None:
    for name in ("x-request-id", "x-content-type-options", "cache-control", "content-security-policy"):
        assert len(answer.headers.get_list(name)) == 1, name
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"]


# --- who may call


def test_routes_were_found() -> None:
    assert len(HANDLERS) >= 15
    assert set(HANDLERS) >= PUBLIC


def test_every_route_is_guarded_or_on_the_public_list() -> None:
    for method, path in GUARDED:
        guards = set(HANDLERS[method, path].resolve_guards())
        assert len(guards & {require_caller, require_token}) == 1, f"{method} {path}"


def test_every_page_asks_for_a_session_or_is_on_the_public_list() -> None:
    assert PAGES >= PUBLIC_PAGES
    for method, path in PAGES - PUBLIC_PAGES:
        guards = HANDLERS[method, path].resolve_guards()
        assert {require_session, require_own_page} <= set(guards), f"{method} {path}"
        assert not {require_caller, require_token} & set(guards), f"{method} {path}"


def test_every_form_must_come_from_a_page_of_ours() -> None:
    for method, path in PAGES:
        if method != "GET":
            assert method == "POST"
            assert require_own_page in HANDLERS[method, path].resolve_guards(), path


def test_public_api_takes_api_tokens_and_everything_else_access_tokens() -> None:
    for method, path in GUARDED:
        guard = require_token if path.startswith("/api/v1/") else require_caller
        assert guard in HANDLERS[method, path].resolve_guards(), f"{method} {path}"


# --- methods


@pytest.mark.parametrize("path", SERVED)
async def test_head_is_get_without_its_body(
    path: str, client: httpx.AsyncClient, credentials: dict[Any, dict[str, str]]
) -> None:
    header = right(credentials, "GET", path)
    got, head = [await client.request(method, filled(path), headers=header) for method in ("GET", "HEAD")]
    assert head.status_code == got.status_code
    assert head.content == b""
    assert head.headers.keys() == got.headers.keys()
    changing = {"x-request-id", "date"} | (
        {"content-length", "etag"} if "/v1/" in path or path == "/metrics" else set()
    )
    assert {
        name: value for name, value in head.headers.items() if name not in changing and "ratelimit" not in name
    } == {name: value for name, value in got.headers.items() if name not in changing and "ratelimit" not in name}
    assert_manners(head)


@pytest.mark.parametrize("path", ["/livez", "/schema/openapi.json", "/nothing", "/api/auth/me"])
async def test_head_sends_no_byte_of_a_body(path: str) -> None:
    """Asked without an HTTP client, which would swallow it."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "HEAD", "scheme": "http", "path": path,
        "raw_path": path.encode(), "root_path": "", "query_string": b"", "headers": [(b"host", b"h")], "client": None,
        "server": ("h", 80), "state": {},
    }  # fmt: skip
    await Edge(APP, APP.state.traffic)(scope, receive, send)
    assert sent[0]["type"] == "http.response.start"
    assert int(dict(sent[0]["headers"])[b"content-length"]) > 0
    assert b"".join(message["body"] for message in sent[1:]) == b""


async def test_head_is_guarded_as_get_is(client: httpx.AsyncClient) -> None:
    answer = await client.head("/api/auth/me")
    assert (answer.status_code, answer.content) == (401, b"")
    assert answer.headers["www-authenticate"] == 'Bearer realm="openrouter-watcher"'


@pytest.mark.parametrize("path", [path for path in PATHS if not path.startswith(FRAMEWORK)])
async def test_other_methods_are_405_and_say_which_work(path: str, client: httpx.AsyncClient) -> None:
    working = {method for method, known in HANDLERS if known == path}
    allowed = working | {"OPTIONS"} | ({"HEAD"} if "GET" in working else set())
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"} - allowed:
        answer = await client.request(method, filled(path))
        assert set(answer.headers["allow"].split(", ")) == allowed, f"{method} {path}"
        assert_manners(answer)
        if method != "HEAD":
            assert_problem(answer, 405)


@pytest.mark.parametrize("path", [path for path in PATHS if not path.startswith(FRAMEWORK)])
async def test_options_says_which_methods_work(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.options(filled(path))
    working = {method for method, known in HANDLERS if known == path}
    assert answer.status_code == 204
    assert set(answer.headers["allow"].split(", ")) == working | {"OPTIONS"} | ({"HEAD"} if "GET" in working else set())


@pytest.mark.parametrize("method", ["BREW", "CONNECT", "PROPFIND", "TRACE"])
async def test_unheard_of_method_is_no_server_error(method: str, client: httpx.AsyncClient) -> None:
    assert 400 <= (await client.request(method, "/livez")).status_code < 500


# --- paths that are not there


@pytest.mark.parametrize(
    "path",
    [
        "/nothing", "/api", "/api/v1", "/api/v2/stats", "/api/auth", "/api/tokens/1/2", "/API/tokens", "/livez/x", "/.env",
        "/schema/../../etc/passwd", "/static/..%2f..%2fetc%2fpasswd", "/%ff", "/%00", "/api/tokens/%00", "/api/tokens/%ff",
        "/api/tokens/%2e%2e", "/livez%00", "/livez;x", "/livez%2fx", "/api%2fnothing", "/" + "a" * 8000, "/%F0%9F%98%80",
    ],
)  # fmt: skip
async def test_path_that_is_not_there_is_a_problem(path: str, client: httpx.AsyncClient, alice: Person) -> None:
    for header in ({}, alice.headers):
        answer = await client.get(path, headers=header)
        assert_problem(answer, 401 if path.startswith("/api/tokens/%") and not header else 404)
        assert_manners(answer)


@pytest.mark.parametrize(
    "path", ["/api%2ftokens", "/api/%74okens", "/api/tokens/", "//api/tokens", "/api//tokens", "/x/../api/tokens"]
)
async def test_other_spelling_of_a_path_does_not_go_past_its_guard(path: str, client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{client.base_url}{path}")
    assert_problem(answer, answer.status_code)
    assert answer.status_code in {401, 404}


@pytest.mark.parametrize(
    "number", ["0", "-1", "+1", "01", "1_0", "١", "1e3", "9223372036854775808", "9" * 100, "a", "%00", "%ff"]
)
async def test_what_is_no_id_is_not_found(number: str, alice: Person) -> None:
    for path in ("/api/tokens/{}", "/api/auth/sessions/{}"):
        assert_problem(await alice.delete(path.format(number)), 404)


# --- headers


@pytest.mark.parametrize("given", ["a", "req-1.2_3", "A" * 128, "0123456789abcdef"])
async def test_request_id_of_the_caller_is_kept(given: str, client: httpx.AsyncClient) -> None:
    for path in ("/livez", "/nothing", "/api/auth/me"):
        assert (await client.get(path, headers={"X-Request-ID": given})).headers["x-request-id"] == given


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"A" * 129,
        b"a b",
        b"a\xff",
        "ä".encode(),
        b"<script>",
        b"a,b",
        b"a;b",
        b"a/b",
        b'"a"',
        b"or_api_x",
        b"or_refresh_x",
        b"sk-or-v1-x",
    ],
)
async def test_odd_request_id_is_replaced(given: bytes, client: httpx.AsyncClient) -> None:
    answers = [await client.get("/livez", headers=[(b"x-request-id", given)]) for _ in range(2)]
    fresh = [answer.headers["x-request-id"] for answer in answers]
    assert all(len(request_id) == 16 and request_id.isalnum() for request_id in fresh)
    assert fresh[0] != fresh[1]


async def test_every_answer_carries_the_common_headers(
    client: httpx.AsyncClient, credentials: dict[Any, dict[str, str]]
) -> None:
    for method, path in [*GUARDED, *sorted(PUBLIC)]:
        ends_something = method == "DELETE" or path == "/api/auth/logout"
        for header in [{}] if ends_something else [{}, right(credentials, method, path)]:
            answer = await client.request(method, filled(path), headers=header)
            assert_manners(answer)
            assert answer.status_code < 500, f"{method} {path}"
            if header and not path.startswith("/api/v1"):
                assert answer.headers["cache-control"] == "no-store"


# --- the query


@pytest.mark.parametrize("path", SERVED)
async def test_odd_query_is_invalid(
    path: str, client: httpx.AsyncClient, credentials: dict[Any, dict[str, str]]
) -> None:
    header = right(credentials, "GET", path)
    known = APP.state.query_parameters[HANDLERS["GET", path].handler_id].names
    queries = [
        "nonsense=1",
        "nonsense",
        "%00=1",
        "%ff=1",
        "nonsense=%ff",
        "=1",
        "access_token=x",
        "&".join(["x=1"] * 1000),
    ]
    queries += [
        query for name in known for query in (f"{name}=1&{name}=1", f"{name}=%00", f"{name}=%ff", f"{name}[]=1")
    ]
    for query in queries:
        answer = await client.get(f"{filled(path)}?{query}", headers=header)
        problem = assert_problem(answer, 422)
        assert all(error["pointer"].startswith("#") and error["detail"] for error in problem["errors"]), query


ODD_NUMBERS = [
    "0",
    "-1",
    "1001",
    "1e3",
    "1_0",
    "+1",
    "%2B1",
    "%D9%A1",
    "01",
    "1.5",
    "0x10",
    "",
    "ten",
    "9" * 19,
    "9" * 400,
    "null",
    " 1",
]


@pytest.mark.parametrize(
    "path", [path for path in GETS if "limit" in APP.state.query_parameters[HANDLERS["GET", path].handler_id].names]
)
async def test_odd_limit_is_invalid(
    path: str, client: httpx.AsyncClient, credentials: dict[Any, dict[str, str]]
) -> None:
    for text in ODD_NUMBERS:
        problem = assert_problem(
            await client.get(f"{filled(path)}?limit={text}", headers=right(credentials, "GET", path)), 422
        )
        assert [error["pointer"] for error in problem["errors"]] == ["#/limit"], text


async def test_odd_query_of_a_post_is_invalid_too(client: httpx.AsyncClient, alice: Person) -> None:
    assert_problem(await client.post("/api/auth/login?debug=1", json={"email": "a@b.de", "password": "x"}), 422)
    assert_problem(await alice.delete("/api/tokens/99?force=1"), 422)


# --- bodies

BODIES = sorted((method, path) for (method, path), handler in HANDLERS.items() if handler.parsed_data_field is not None)


OTHER_TYPES = (
    "text/plain", "application/x-www-form-urlencoded", "text/json", "application/json, text/plain", "", None,
    "application/json; charset=latin-1", "application/jsonp", "multipart/form-data; boundary=x",
)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), BODIES)
async def test_body_is_read_strictly_on_every_route(
    method: str, path: str, client: httpx.AsyncClient, credentials: dict[Any, dict[str, str]]
) -> None:
    header = right(credentials, method, path)

    async def send(body: bytes, content_type: str | None = "application/json") -> httpx.Response:
        headers = header | ({"Content-Type": content_type} if content_type is not None else {})
        return await client.request(method, filled(path), content=body, headers=headers)

    for body in (
        b"",
        b"{",
        b'{"email": "\xff"}',
        b"\xef\xbb\xbf{}",
        b"{} {}",
        b'{"x": "\\ud800"}',
        b'{"x": NaN}',
        b'{"x":' + b"[" * 50_000,
    ):
        assert_problem(await send(body), 400)
    for body in (b"[]", b"null", b'""', b"1", b"{}", b'{"surprise": 1}', b'{"x": ' + b"[" * 50 + b"]" * 50 + b"}"):
        assert_problem(await send(body), 422)
    for content_type in OTHER_TYPES:
        assert_problem(await send(b"{}", content_type), 415)
    assert_problem(await send(b'{"x": "' + b"x" * 70_000 + b'"}'), 413)


# --- the description


@pytest.fixture(scope="module")
async def description(client: httpx.AsyncClient) -> dict[str, Any]:
    """As the service serves it."""
    answer = await client.get("/schema/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(("application/json", "application/vnd.oai.openapi+json"))
    return json.loads(answer.text)


def test_description_is_of_every_route(description: dict[str, Any]) -> None:
    described = {(method.upper(), path) for path, item in description["paths"].items() for method in item}
    served = {key for key in HANDLERS.keys() - PAGES if not key[1].startswith(FRAMEWORK)}
    assert described == served


def test_description_says_which_routes_need_which_credential(description: dict[str, Any]) -> None:
    names = {require_caller: "access token", require_token: "API token"}
    for method, path in GUARDED:
        operation = description["paths"][path][method.lower()]
        guard = next(guard for guard in names if guard in HANDLERS[method, path].resolve_guards())
        assert operation["security"] == [{names[guard]: []}], f"{method} {path}"
        assert "401" in operation["responses"], f"{method} {path}"
        assert guard is not require_token or "429" in operation["responses"], f"{method} {path}"
    assert set(names.values()) == set(description["components"]["securitySchemes"])


def test_description_says_of_what_may_be_left_out_that_it_is_not_required_rather_than_null(
    description: dict[str, Any],
) -> None:
    for path, item in description["paths"].items():
        for parameter in [parameter for operation in item.values() for parameter in operation.get("parameters", [])]:
            schema = parameter["schema"]
            assert schema["type"] in {"string", "integer"}, f"{path} {parameter['name']}"
            assert None not in schema.get("enum", [])
            assert parameter["required"] == (parameter["in"] == "path")
            assert ("pattern" in schema) == parameter["name"].endswith("_id")


@pytest.mark.parametrize(
    ("schema", "name"), [("UsageEntry", "cost"), ("Summary", "total_cost"), ("Forecast", "low"), ("KeyEntry", "limit")]
)
def test_description_of_money_is_a_number(description: dict[str, Any], schema: str, name: str) -> None:
    described = description["components"]["schemas"][schema]["properties"][name]
    assert described["oneOf"] == [{"type": "number"}, {"type": "null"}]


def test_description_of_bodies_says_what_they_are_and_what_may_be_wrong_with_them(description: dict[str, Any]) -> None:
    for path, item in description["paths"].items():
        for method, operation in item.items():
            contents = operation.get("requestBody", {}).get("content", {})
            assert {"408", "413", "415"} <= operation["responses"].keys() or not contents, f"{method} {path}"
            for media_type in contents.keys() & {"application/json"}:
                name = contents[media_type]["schema"]["$ref"].rpartition("/")[2]
                body = description["components"]["schemas"][name]
                assert body["additionalProperties"] is False
                for field in body["properties"].values():
                    assert field.get("type") != "string" or not re.search(field["pattern"], "a\0b"), name
    upload = description["paths"]["/api/imports/activity"]["post"]
    assert upload["requestBody"]["content"].keys() == {"text/csv", "multipart/form-data"}
    for path in ("/api/usage", "/api/v1/usage"):
        answer = description["paths"][path]["get"]["responses"]["200"]
        assert answer["content"].keys() == {"application/json", "text/csv"}


def test_description_of_every_error_is_a_problem(description: dict[str, Any]) -> None:
    for path, item in description["paths"].items():
        for method, operation in item.items():
            assert operation["operationId"]
            for status, response in operation["responses"].items():
                if status >= "400":
                    assert set(response["content"]) == {"application/problem+json"}, f"{method} {path} {status}"


# --- what nobody expected

SHAME = "a secret that no answer may tell"


@get("/shame", sync_to_thread=False)
def shame() -> None:
    raise RuntimeError(SHAME)


@get("/canary")
async def canary(request: Request[Any, Any, Any]) -> None:
    """Asks the database with an argument of the wrong type, which the driver quotes in its complaint."""
    await Query("accounts/find_credentials").find(request.app.state.db, SHAME)


@pytest.fixture
async def ashamed(settings: Settings) -> AsyncGenerator[httpx.AsyncClient]:
    """The service with two handlers that fail."""
    app: Litestar = create_litestar(settings)
    app.register(shame)
    app.register(canary)
    edge = Edge(app, app.state.traffic)
    async with lifespan(edge):
        transport = httpx.ASGITransport(app=edge, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://watcher.test") as client:
            yield client


@pytest.mark.parametrize("path", ["/shame", "/canary"])
async def test_unexpected_error_is_a_bare_500(
    path: str, ashamed: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = await ashamed.get(path, headers={"X-Request-ID": "the-request"})
    problem = assert_problem(answer, 500)
    assert problem["code"] == "internal"
    assert "secret" not in answer.text
    assert_manners(answer)
    log = "".join(capsys.readouterr())
    assert "the-request" in log  # so that its line can be found
    if path == "/canary":
        assert "secret" not in log


async def test_broken_schema_is_a_bare_500(settings: Settings, connection: asyncpg.Connection) -> None:
    async with running_app(settings) as client:
        attempt = {"email": "alice@example.com", "password": "x"}
        await connection.execute("ALTER TABLE users RENAME COLUMN password_hash TO hash")
        answer = await client.post("/api/auth/login", json=attempt)
        assert_problem(answer, 500)
        assert "hash" not in answer.text
        await connection.execute("ALTER TABLE users RENAME COLUMN hash TO password_hash")
        assert_problem(await client.post("/api/auth/login", json=attempt), 401)
