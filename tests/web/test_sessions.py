"""Is a browser's session as closed as it should be: the cookie, the forms, and the line between pages and API?"""

from __future__ import annotations

import asyncio
from http.cookies import SimpleCookie
from itertools import product
from typing import Any
from urllib.parse import urlencode

import asyncpg
import httpx
import msgspec
import pytest

from app.settings import Settings
from app.web.sessions import COOKIE, PRIVATE_COOKIE
from tests.accounts.test_passwords import PATIENCE_SECONDS, held
from tests.cast import PASSWORD, Person
from tests.conftest import SECRET, running_app
from tests.test_routes import HANDLERS, filled
from tests.web.visiting import PLAIN, PRIVATE, Visitor, words

FORMS = sorted(
    path for (method, path), handler in HANDLERS.items() if method == "POST" and not path.startswith("/api/")
)
OWN_FORMS = [path for path in FORMS if path not in {"/sign-in", "/sign-up"}]
CREDENTIALS = {"email": "alice@example.com", "password": PASSWORD}


@pytest.fixture
async def visitor(client: httpx.AsyncClient, alice: Person) -> Visitor:
    """Alice in her browser."""
    return await Visitor.signs_in(client, alice.email)


def cookie_of(answer: httpx.Response) -> tuple[str, dict[str, Any], str]:
    """Name, attributes and value of the one cookie that is set."""
    (header,) = answer.headers.get_list("set-cookie")
    cookie = SimpleCookie(header)
    ((name, morsel),) = cookie.items()
    return name, {key: value for key, value in morsel.items() if value}, morsel.value


# --- the cookie


@pytest.mark.parametrize(
    ("public_url", "headers", "is_private"),
    [
        ("https://watcher.example.com", {"Origin": "https://watcher.example.com"}, True),
        ("https://watcher.example.com/below", {"Origin": "https://watcher.example.com"}, True),
        ("http://127.0.0.1:8000", {"Origin": "http://127.0.0.1:8000"}, True),
        ("http://localhost:8000", {"Origin": "http://localhost:8000"}, True),
        ("http://watcher.localhost:8000", {"Origin": "http://watcher.localhost:8000"}, True),
        ("http://[::1]:8000", {"Origin": "http://[::1]:8000"}, True),
        ("http://nas.lan", {"Origin": "http://nas.lan"}, False),
        ("", PRIVATE, True),
        ("", PLAIN, False),
    ],
)
@pytest.mark.usefixtures("alice")
async def test_cookie_is_as_strict_as_the_connection_allows(
    public_url: str, headers: dict[str, str], is_private: bool, settings: Settings
) -> None:
    async with running_app(msgspec.structs.replace(settings, public_url=public_url)) as client:
        answer = await client.post("/sign-in", data=CREDENTIALS, headers=headers)
        name, attributes, _ = cookie_of(answer)
        assert name == (PRIVATE_COOKIE if is_private else COOKIE)
        assert attributes.pop("max-age") == str(30 * 24 * 3600)
        expected = {"path": "/", "httponly": True, "samesite": "strict"} | ({"secure": True} if is_private else {})
        assert attributes == expected  # and no Domain, which __Host- forbids
        client.cookies.clear()
        page = await client.get("/sign-in", headers=headers)
        assert ("This connection is not private" in words(page)) == (not is_private)


async def test_cookie_of_a_plain_connection_is_none_on_a_private_one(settings: Settings, alice: Person) -> None:
    """Whoever could write into the plain one must not choose the session of the private one."""
    async with running_app(settings) as client:
        visitor = await Visitor.signs_in(client, alice.email, headers=PLAIN)
        assert (await visitor.get("/account")).status_code == 200
        assert (await visitor.get("/account", headers=PRIVATE)).headers["location"] == "/sign-in?next=%2Faccount"


async def test_cookie_holds_nothing_that_is_stored(visitor: Visitor, connection: asyncpg.Connection) -> None:
    secret = visitor.cookie.partition("=")[2]
    assert len(visitor.cookie) < 4096
    for table in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        rows = await connection.fetch(f"SELECT * FROM {table['tablename']}")  # noqa: S608 -- our own tables
        assert secret not in "".join(map(repr, rows))
    assert (
        await connection.fetchval("SELECT octet_length(cookie_hash) FROM sessions WHERE cookie_hash IS NOT NULL") == 32
    )


@pytest.mark.usefixtures("alice")
async def test_signing_in_makes_a_new_session_and_ends_the_one_before(visitor: Visitor) -> None:
    answer = await visitor.call("POST", "/sign-in", data=CREDENTIALS)
    _, _, secret = cookie_of(answer)
    assert secret not in visitor.cookie
    assert (await visitor.get("/account")).status_code == 303
    visitor.cookie = f"{PRIVATE_COOKIE}={secret}"
    assert (await visitor.get("/account")).status_code == 200


@pytest.mark.usefixtures("alice")
async def test_password_that_is_changed_while_it_is_verified_signs_nobody_in(
    client: httpx.AsyncClient, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held(monkeypatch, "verify") as gate:
        signing_in = asyncio.create_task(client.post("/sign-in", data=CREDENTIALS, headers=PRIVATE))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while gate.call_count == 0:  # noqa: ASYNC110 -- a thread tells no event
                await asyncio.sleep(0.01)
        await connection.execute("UPDATE users SET password_hash = 'another'")
        gate.open()
        answer = await signing_in
    assert (answer.status_code, answer.headers.get_list("set-cookie")) == (401, [])


@pytest.mark.usefixtures("alice")
async def test_cookie_that_nobody_gave_signs_nobody_in(client: httpx.AsyncClient) -> None:
    for value in ("", "x", "or_session_" + "A" * 43, "or_session_" + "A" * 4000, '"', "or_session_ä"):
        header = [(b"cookie", f"{PRIVATE_COOKIE}={value}".encode()), (b"sec-fetch-site", b"same-origin")]
        answer = await client.get("/account", headers=header)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Faccount")


# --- how a session ends


ENDINGS = {
    "revoked": "UPDATE sessions SET revoked_at = now()",
    "expired": "UPDATE sessions SET expires_at = now()",
    "idle": "UPDATE sessions SET last_used_at = now() - interval '7 days 1 second'",
    "account disabled": "UPDATE users SET disabled_at = now()",
    "account deleted": "UPDATE users SET deleted_at = now(), email_key = NULL",
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
async def test_session_that_has_ended_is_refused_at_once(
    ending: str, visitor: Visitor, connection: asyncpg.Connection
) -> None:
    assert (await visitor.get("/account")).status_code == 200
    await connection.execute(ending)
    assert (await visitor.get("/account")).headers["location"] == "/sign-in?next=%2Faccount"


async def test_use_is_noted_so_that_only_idle_sessions_end(visitor: Visitor, connection: asyncpg.Connection) -> None:
    await connection.execute("UPDATE sessions SET last_used_at = now() - interval '6 days'")
    await visitor.get("/account")
    query = "SELECT now() - last_used_at < interval '1 minute' FROM sessions WHERE cookie_hash IS NOT NULL"
    assert await connection.fetchval(query)


async def test_signing_out_ends_the_session_on_the_server_and_in_the_browser(visitor: Visitor) -> None:
    answer = await visitor.post("/sign-out")
    name, attributes, value = cookie_of(answer)
    assert (name, value, attributes["max-age"]) == (PRIVATE_COOKIE, "", "0")
    assert answer.headers["clear-site-data"] == '"cache"'
    assert (await visitor.get("/account")).status_code == 303


async def test_changed_password_ends_the_other_sessions(visitor: Visitor, alice: Person) -> None:
    other = await Visitor.signs_in(visitor.client, alice.email)
    answer = await visitor.post(
        "/account/password", current_password=PASSWORD, new_password="another fine long sentence 42"
    )
    assert answer.headers["location"] == "/account?done=password"
    assert (await visitor.get("/account")).status_code == 200
    assert (await other.get("/account")).status_code == 303
    assert (await alice.get("/api/auth/me")).status_code == 401


async def test_session_is_listed_and_ended_from_elsewhere(visitor: Visitor, alice: Person) -> None:
    sessions = (await alice.get("/api/auth/sessions")).json()
    theirs = next(session for session in sessions if not session["is_current"])
    assert (await alice.delete(f"/api/auth/sessions/{theirs['id']}")).status_code == 204
    assert (await visitor.get("/account")).status_code == 303
    told = [(event["kind"], event["object_id"]) for event in (await alice.get("/api/events")).json()]
    assert told == [("session_ended", theirs["id"]), ("login", theirs["id"])]


async def test_nobody_ends_another_s_session(visitor: Visitor, bob: Person) -> None:
    (session,) = (await bob.get("/api/auth/sessions")).json()
    answer = await visitor.post(f"/account/sessions/{session['id']}/end")
    assert answer.status_code == 403
    assert (await bob.get("/api/auth/me")).status_code == 200


# --- forms


FROM_ELSEWHERE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://watcher.test"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://watcher.test.evil.example"},
    {"Origin": "http://watcher.test:8080"},
    {"Origin": "ftp://watcher.test"},
    {"Origin": "null"},
    {},
]


async def test_form_of_another_site_is_refused(client: httpx.AsyncClient) -> None:
    for path in FORMS:
        for headers in FROM_ELSEWHERE:
            answer = await client.post(filled(path), data=CREDENTIALS, headers=headers)
            assert answer.status_code == 403, (path, headers)
            assert "did not come from a page of this service" in words(answer)


@pytest.mark.parametrize("origin", ["https://watcher.example.com", "https://watcher.example.com:443"])
@pytest.mark.usefixtures("alice")
async def test_origin_is_compared_with_the_public_url(origin: str, settings: Settings) -> None:
    public = msgspec.structs.replace(settings, public_url="https://watcher.example.com/below")
    async with running_app(public) as client:
        answer = await client.post("/sign-in", data=CREDENTIALS, headers={"Origin": origin, "Host": "127.0.0.1:8000"})
        # browsers never name the port that goes without saying
        assert answer.status_code == (303 if origin.endswith(".com") else 403)


async def test_form_without_the_session_s_token_is_refused(visitor: Visitor, bob: Person) -> None:
    of_bob = await (await Visitor.signs_in(visitor.client, bob.email)).form_token()
    wrong = ({"other": "x"}, {"form_token": ""}, {"form_token": "0" * 64}, {"form_token": "ä"}, {"form_token": of_bob})
    for path, token in product(OWN_FORMS, wrong):
        if path == "/import":
            fields = [(name, (None, value)) for name, value in token.items()]
            answer = await visitor.call("POST", path, files=[*fields, ("file", ("a.csv", b"x"))])
        else:
            answer = await visitor.call("POST", filled(path), data=token)
        assert answer.status_code == 403, (path, token)
        assert "did not come from a page of this service" in words(answer)
    assert (await visitor.get("/account")).status_code == 200


async def test_form_token_outlives_a_change_of_the_secrets(settings: Settings, alice: Person) -> None:
    async with running_app(settings) as client:
        visitor = await Visitor.signs_in(client, alice.email)
        token = await visitor.form_token()
    async with running_app(msgspec.structs.replace(settings, jwt_secrets=(b"n" * 31 + b"!", SECRET))) as client:
        visitor.client = client
        answer = await visitor.call("POST", "/account/sessions/end-others", data={"form_token": token})
        assert answer.status_code == 303


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"email=%ff&password=x", "application/x-www-form-urlencoded"),
        (b"email=a&email=b", "application/x-www-form-urlencoded"),
        (b"email=\xff", "application/x-www-form-urlencoded"),
        (b"&".join(b"f%d=1" % number for number in range(1000)), "application/x-www-form-urlencoded"),
        (b"email=%00&password=x", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"", ""),
        (b"x" * 100_000, "application/x-www-form-urlencoded"),
    ],
)
async def test_odd_form_is_refused_on_a_page(content: bytes, content_type: str, client: httpx.AsyncClient) -> None:
    answer = await client.post("/sign-in", content=content, headers=PRIVATE | {"Content-Type": content_type})
    assert 400 <= answer.status_code < 500
    assert words(answer)


@pytest.mark.usefixtures("alice")
async def test_form_is_read_in_one_way_only(client: httpx.AsyncClient) -> None:
    """Else two readers of it could differ in what it says."""
    right, form = urlencode(CREDENTIALS), "application/x-www-form-urlencoded"
    for content, content_type, status in (
        (right, "text/plain", 415),
        (right, "multipart/form-data; boundary=x", 415),
        (f"email=bob%40nas.local&{right}", form, 400),
        (f"email=&{right}", form, 400),
        (f"{right}&next=%00", form, 422),
        (right, f"{form}; charset=utf-8", 303),
    ):
        answer = await client.post("/sign-in", content=content, headers=PRIVATE | {"Content-Type": content_type})
        assert answer.status_code == status, content


# --- pages and API are two things


async def test_api_does_not_take_the_cookie(visitor: Visitor) -> None:
    for method, path in HANDLERS:
        if path.startswith("/api/") and path not in {"/api/auth/login", "/api/auth/register", "/api/auth/refresh"}:
            assert (await visitor.call(method, filled(path))).status_code == 401, path


async def test_pages_do_not_take_the_api_s_credentials(client: httpx.AsyncClient, alice: Person) -> None:
    token = (await alice.creates_token())["token"]
    for credential in (alice.tokens["access_token"], alice.tokens["refresh_token"], token):
        for headers in (
            {"Authorization": f"Bearer {credential}"},
            {"Cookie": f"{PRIVATE_COOKIE}={credential}"},
            {"Authorization": f"Bearer {credential}", "Cookie": f"{COOKIE}={credential}"},
        ):
            answer = await client.get("/account", headers=PRIVATE | headers)
            assert answer.headers["location"].startswith("/sign-in")


async def test_cookie_is_no_refresh_token(visitor: Visitor) -> None:
    answer = await visitor.client.post("/api/auth/refresh", json={"refresh_token": visitor.cookie.partition("=")[2]})
    assert answer.status_code == 401


async def test_sign_in_leads_nowhere_else(visitor: Visitor) -> None:
    elsewhere = [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "",
    ]
    for address in elsewhere:
        answer = await visitor.get("/sign-in", params={"next": address})
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), address


async def test_link_from_another_site_opens_the_page_once_more_from_here(visitor: Visitor) -> None:
    """The browser keeps a Strict cookie to itself then."""
    answer = await visitor.client.get("/usage?days=7", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert '<meta http-equiv="refresh" content="0; url=/usage?days=7">' in answer.text
    assert (await visitor.get("/usage?days=7")).status_code == 200


@pytest.mark.usefixtures("alice")
async def test_refusals_of_sign_in_do_not_tell_whether_there_is_an_account(client: httpx.AsyncClient) -> None:
    pages = [
        await client.post("/sign-in", data={"email": email, "password": "wrong"}, headers=PRIVATE)
        for email in ("alice@example.com", "nobody@example.com")
    ]
    assert {page.status_code for page in pages} == {401}
    assert pages[0].text.replace("alice@", "nobody@") == pages[1].text
    assert "The email address or the password is wrong" in words(pages[0])


@pytest.mark.usefixtures("alice")
async def test_browser_that_keeps_no_cookie_is_told_so(client: httpx.AsyncClient) -> None:
    answer = await client.post("/sign-in", data=CREDENTIALS, headers=PRIVATE)
    client.cookies.clear()
    page = await client.get(answer.headers["location"], headers=PRIVATE)
    assert "your browser did not keep the cookie" in words(page)
