"""Is any secret anywhere but in the answer that shows it once: in a log, the database, its log, the metrics, an error?

A server as people start it, which logs all it can, is used in every way, well and badly; then everything it said is searched.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit, urlunsplit

import asyncpg
import httpx
import msgspec
import psutil

from app.simulator.faults import Fault
from app.simulator.server import Simulator, serving
from app.simulator.world import World
from tests.cast import Person, bearer, log_in
from tests.conftest import admin
from tests.processes import running_process
from tests.tokens.test_secrecy import everything_stored, server_log
from tests.web.visiting import PRIVATE, Visitor

EMAIL = "alice@example.com"
DATABASE_LOGS_ALL = (
    "log_statement = 'all'",
    "log_min_error_statement = 'error'",
    "log_error_verbosity = 'verbose'",
    "log_parameter_max_length = -1",
    "log_parameter_max_length_on_error = -1",
)


def canary(name: str) -> str:
    """A secret that is told apart from all others, and that needs escapes where it can."""
    return f"{name} canary+{secrets.token_hex(12)}&ü"


def forms(secret: str | bytes) -> set[bytes]:
    """How a secret could be written: as it is, in hexadecimal, in base64 wherever it begins, in addresses, in Python, in JSON."""
    raw = secret.encode() if isinstance(secret, str) else secret
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), repr(raw)[2:-1].encode()}
    for before in range(3):
        # without the digits that depend on what stands beside it
        text = base64.b64encode(bytes(before) + raw)[4 if before else 0 :].rstrip(b"=")[:-1]
        found |= {text, text.replace(b"+", b"-").replace(b"/", b"_")}
    if isinstance(secret, str):
        found |= {quote(secret, safe="").encode(), quote_plus(secret).encode(), secret.encode("latin-1", "replace")}
        found |= {
            secret.encode("unicode_escape"),
            secret.encode("ascii", "xmlcharrefreplace"),
            msgspec.json.encode(secret)[1:-1],
        }
    return {form for form in found if len(form) >= 16}


class Story(msgspec.Struct):
    """What is secret, by name; and all answers that were given, but for those that show something once."""

    secrets: dict[str, str | bytes]
    answers: list[httpx.Response] = []

    def leaks(self, where: str, text: bytes) -> list[str]:
        """Which secrets are in it, and how it reads there."""
        return [
            f"{name} in {where}: …{text[max(place - 80, 0) : place + 120]!r}"
            for name, secret in self.secrets.items()
            for form in forms(secret)
            if (place := text.find(form)) >= 0
        ]

    def tell(self, *answers: httpx.Response) -> None:
        """To be searched."""
        self.answers += answers

    def keep(self, tokens: dict[str, Any]) -> None:
        """Of an answer that shows them."""
        for name in ("access_token", "refresh_token", "token"):
            if name in tokens:
                self.secrets[f"{name} {len(self.secrets)}"] = tokens[name]


async def test_no_secret_is_anywhere_it_should_not_be(
    database_url: str, server_url: str, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    keys = {"JWT_SECRETS": secrets.token_bytes(40), "ENCRYPTION_KEYS": secrets.token_bytes(32)}
    story = Story(
        {**keys, "METRICS_TOKEN": secrets.token_urlsafe(24), "the database's password": secrets.token_urlsafe(24)}
    )
    log = tmp_path / "log"
    database = urlsplit(database_url).path.strip("/")
    async with admin(server_url) as administrator:
        for setting in DATABASE_LOGS_ALL:
            await administrator.execute(f'ALTER DATABASE "{database}" SET {setting}')
    environ = {name: base64.b64encode(key).decode() for name, key in keys.items()}
    environ |= {"METRICS_TOKEN": str(story.secrets["METRICS_TOKEN"]), "LOG_LEVEL": "debug", "PYTHONASYNCIODEBUG": "1"}
    url = with_password(database_url, str(story.secrets["the database's password"]))
    async with serving(World(seed=7)) as openrouter:
        environ["OPENROUTER_BASE_URL"] = openrouter.base_url
        async with running_process(url, log, **environ) as (client, process):
            alice = await use_accounts(story, client)
            await use_tokens(story, alice)
            await use_keys(story, alice, openrouter)
            await use_pages(story, client)
            await break_everything(story, alice, connection)
            story.tell(await client.get("/metrics", headers=bearer(str(story.secrets["METRICS_TOKEN"]))))
            arguments = "\n".join(psutil.Process(process.pid).cmdline()).encode()
    said = {
        "the log": log.read_bytes(),
        "the database": (await everything_stored(connection)).encode(),
        "ps": arguments,
    }
    if (database_log := server_log(server_url)) is not None:
        said["the database's log"] = database_log.read_bytes()
        assert EMAIL.encode() in said["the database's log"]  # it does log parameters
    assert said["the log"].count(b"unexpected error") >= 4
    assert b'"debug"' in said["the log"]
    assert {answer.status_code for answer in story.answers} >= {
        200,
        204,
        400,
        401,
        403,
        404,
        405,
        409,
        413,
        415,
        422,
        500,
        503,
    }
    leaks = [leak for where, text in said.items() for leak in story.leaks(where, text)]
    for answer in story.answers:
        leaks += story.leaks(f"{answer.request.method} {answer.request.url.path} ({answer.status_code})", whole(answer))
    assert leaks == []


def test_a_secret_is_found_however_it_is_written() -> None:
    """Else finding none would say nothing."""
    secret = canary("password")
    story = Story({"password": secret, "key": b"\x00\xff" * 16})
    for before in (b"", b"a", b"ab", b"abc"):
        assert story.leaks("base64", base64.b64encode(before + secret.encode() + b"tail"))
    for text in (
        secret,
        quote(secret),
        secret.encode().hex(),
        repr(secret),
        msgspec.json.encode(secret).decode(),
        repr({"x": secret}),
    ):
        assert story.leaks("text", f"before {text} after".encode()), text
    assert story.leaks("bytes", f"{b'0' + bytes(story.secrets['key'])!r}".encode())
    assert not story.leaks("nothing", b"password canary+" + bytes(100))


def with_password(url: str, password: str) -> str:
    """The same database; that server does not ask for it."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0] or 'postgres'}:{password}@{host}"))


def whole(answer: httpx.Response) -> bytes:
    return b"\n".join(
        [answer.content, *(name + b": " + value for name, value in answer.headers.raw if name.lower() != b"set-cookie")]
    )


def everywhere(secret: str) -> Iterator[dict[str, Any]]:
    """Requests that carry a secret where it does not belong."""
    plain = quote(secret, safe="")
    yield {"method": "GET", "url": f"/{plain}"}
    yield {"method": "GET", "url": f"/api/tokens/{plain}"}
    yield {"method": "GET", "url": f"/api/v1/stats?model={plain}&days={plain}"}
    yield {"method": "GET", "url": f"/api/v1/usage?cursor={plain}"}
    yield {"method": "GET", "url": f"/sign-in?next=/{plain}&why={plain}"}
    yield {"method": "PUT", "url": f"/api/auth/login?password={plain}"}
    for body in (
        secret,
        f'"{secret}"',
        f'{{"email": "{secret}"',
        f'{{"email": 1, "password": "{secret}"}}',
    ):
        yield {
            "method": "POST",
            "url": "/api/auth/login",
            "content": body,
            "headers": {"Content-Type": "application/json"},
        }
    yield {"method": "POST", "url": "/api/auth/login", "content": secret, "headers": {"Content-Type": "text/plain"}}
    yield {"method": "POST", "url": "/sign-in", "data": {"email": "x", "password": secret}, "headers": PRIVATE}
    yield {"method": "POST", "url": "/sign-up", "data": {"email": "x", "password": secret}, "headers": PRIVATE}
    sent = secret.encode()
    for name in (
        b"Authorization",
        b"Cookie",
        b"X-Request-ID",
        b"X-Forwarded-For",
        b"If-None-Match",
        b"Accept",
        b"Range",
    ):
        yield {"method": "GET", "url": "/api/v1/token", "headers": [(name, sent)]}
    yield {
        "method": "GET",
        "url": "/api/v1/token",
        "headers": [(b"Authorization", b"Basic " + base64.b64encode(b"x:" + sent))],
    }


async def misuse(story: Story, client: httpx.AsyncClient, secret: str) -> None:
    """Sends it everywhere."""
    for request in everywhere(secret):
        answer = await client.request(**request)
        client.cookies.clear()
        # the sign-in page gives back the address and where to go on to, which is what was asked for
        if not request["url"].startswith("/sign-in?"):
            story.tell(answer)
    with suppress(httpx.TransportError):  # the server need not read to the end what it refuses
        headers = {"Content-Type": "application/json", "Connection": "close"}
        story.tell(await client.post("/api/auth/login", content=secret * 2000, headers=headers))


async def use_accounts(story: Story, client: httpx.AsyncClient) -> Person:
    """Registration, login, refresh, and everything that can go wrong with a password."""
    first, second, wrong = canary("password"), canary("new password"), canary("wrong password")
    story.secrets |= {"password": first, "new password": second, "wrong password": wrong}
    registration = {"email": EMAIL, "password": first}
    story.tell(await client.post("/api/auth/register", json=registration))
    story.tell(await client.post("/api/auth/register", json=registration))
    story.tell(await client.post("/api/auth/register", json={"email": "b@example.com", "password": wrong[:14]}))
    tokens = await log_in(client, EMAIL, first)
    story.keep(tokens)
    refreshed = await client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert refreshed.status_code == 200
    story.keep(refreshed.json())
    person = Person(client, EMAIL, 0, refreshed.json())
    change = {"current_password": wrong, "new_password": second}
    story.tell(await person.post("/api/auth/password", change))
    story.tell(await person.post("/api/auth/password", change | {"current_password": first}))
    story.tell(await client.post("/api/auth/login", json=registration))
    story.tell(await person.call("DELETE", "/api/auth/me", json={"password": wrong}))
    for path in ("/api/auth/me", "/api/auth/sessions", "/api/events", "/api/hygiene"):
        story.tell(await person.get(path))
    again = await client.post("/api/auth/refresh", json={"refresh_token": refreshed.json()["refresh_token"]})
    story.keep(again.json())  # used: the one before it is a thief's now
    last = await client.post("/api/auth/refresh", json={"refresh_token": again.json()["refresh_token"]})
    story.keep(last.json())
    thief = await client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert thief.status_code == 401
    story.tell(thief)
    person.tokens = await log_in(client, EMAIL, second)
    story.keep(person.tokens)
    for secret in (first, person.tokens["access_token"], person.tokens["refresh_token"]):
        await misuse(story, client, secret)
    return person


async def use_tokens(story: Story, alice: Person) -> None:
    """API tokens, live and revoked."""
    created = [await alice.creates_token(f"number {number}") for number in range(2)]
    for entry in created:
        story.keep(entry)
        for path in ("token", "stats", "usage", "keys", "metrics"):
            story.tell(await alice.client.get(f"/api/v1/{path}", headers=bearer(entry["token"])))
    story.tell(await alice.delete(f"/api/tokens/{created[0]['id']}"))
    story.tell(await alice.client.get("/api/v1/token", headers=bearer(created[0]["token"])))
    story.tell(await alice.get("/api/tokens"))
    await misuse(story, alice.client, created[1]["token"])


async def use_keys(story: Story, alice: Person, openrouter: Simulator) -> None:
    """OpenRouter keys, with an OpenRouter that repeats them in what it says."""
    account = openrouter.world.add_account()
    manager, key, other = account.add_management_key("admin"), account.add_key("prod"), account.add_key("other")
    account.generate(3)
    story.secrets |= {f"OpenRouter key {key.name}": key.secret for key in (manager, key, other)}
    added = [await alice.post("/api/keys", {"name": key.name, "key": key.secret}) for key in (manager, key, key)]
    story.tell(*added)
    path = f"/api/keys/{added[0].json()['id']}"
    story.tell(await alice.post(f"{path}/sync"), await alice.get("/api/keys"), await alice.get(path))
    for fault in (
        Fault("status", status=401),
        Fault("status", status=500),
        Fault("html"),
        Fault("garbage"),
        Fault("redirect"),
    ):
        for secret in (manager.secret, other.secret):
            fault.body = msgspec.json.encode(
                {"error": {"code": 1, "message": f"The key {secret} is unwelcome: {secret}"}}
            ).decode()
            fault.location = f"/{secret}"
            openrouter.world.faults = [msgspec.structs.replace(fault)]
            story.tell(await alice.post("/api/keys", {"name": "x", "key": other.secret}))
            story.tell(await alice.post(f"{path}/sync"), await alice.get(path))
            story.tell(await alice.call("PATCH", path, json={"key": secret}))
    openrouter.world.faults = []
    await misuse(story, alice.client, other.secret)
    story.tell(await alice.delete(f"{path}?history=delete"))


async def use_pages(story: Story, client: httpx.AsyncClient) -> None:
    """A browser's session: its cookie is shown once too."""
    visitor = await Visitor.signs_in(client, EMAIL, str(story.secrets["new password"]))
    story.secrets["cookie"] = visitor.cookie.partition("=")[2]
    for path in ("/", "/usage", "/keys", "/tokens", "/account", "/import", "/nothing"):
        story.tell(await visitor.get(path))
    story.tell(await visitor.post("/account/password", current_password="x", new_password=canary("x")))
    await misuse(story, client, str(story.secrets["cookie"]))


async def break_everything(story: Story, alice: Person, connection: asyncpg.Connection) -> None:
    """Errors that nobody expected, in the middle of statements that carry secrets, and a database that goes away."""
    token = str(next(secret for name, secret in story.secrets.items() if name.startswith("token ")))
    password = {"email": EMAIL, "password": story.secrets["new password"]}

    async def ask() -> None:
        story.tell(
            await alice.client.post("/api/auth/login", json=password),
            await alice.client.post("/api/auth/refresh", json={"refresh_token": alice.tokens["refresh_token"]}),
            await alice.client.get("/api/v1/token", headers=bearer(token)),
            await alice.post("/api/tokens", {"name": "x"}),
            await alice.get("/api/keys"),
        )

    for table in ("users", "sessions", "api_tokens", "openrouter_keys"):
        await connection.execute(f"ALTER TABLE {table} RENAME TO gone")
        await ask()
        await connection.execute(f"ALTER TABLE gone RENAME TO {table}")
    database = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{database}" CONNECTION LIMIT 0')
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await ask()
    await connection.execute(f'ALTER DATABASE "{database}" CONNECTION LIMIT -1')
