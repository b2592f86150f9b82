"""Is a token anywhere but in the one answer that shows it?"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from pprint import pformat
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import msgspec
import pytest

from app.errors import TokenLimitReached
from app.settings import Settings
from app.tokens.structs import CreatedToken
from tests.cast import Person, bearer
from tests.conftest import admin, running_app
from tests.processes import running_server

# any token, also one that we were never told because its answer was an error; a hint is shorter
TOKEN = re.compile(rb"or_api_[0-9A-Za-z]{8,}")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What the server process says."""
    return tmp_path / "server.log"


@pytest.fixture
async def server(database_url: str, log: Path) -> AsyncGenerator[httpx.AsyncClient]:
    """A real server process that logs all it can."""
    async with running_server(database_url, log, LOG_LEVEL="debug") as client:
        yield client


@pytest.fixture
async def person(server: httpx.AsyncClient) -> Person:
    """Of that server."""
    return await Person.arrives(server, "alice@example.com")


def contents(file: Path) -> bytes:
    """Of a log."""
    return file.read_bytes()


def server_log(server_url: str) -> Path | None:
    """The PostgreSQL server's own log, where it is one of ours on this machine."""
    sockets = parse_qs(urlsplit(server_url).query).get("host", [""])[0]
    log = Path(sockets).parent / "log"
    return log if sockets.startswith("/") and log.is_file() else None


async def everything_stored(connection: asyncpg.Connection) -> str:
    """All rows of all tables as text; bytes are in hexadecimal."""
    tables = await connection.fetch(
        "SELECT quote_ident(table_name) AS name FROM information_schema.tables WHERE table_schema = 'public'"
    )
    assert len(tables) > 5
    rows = [
        text
        for table in tables
        for (text,) in await connection.fetch(f"SELECT t::text FROM {table['name']} AS t")  # noqa: S608 -- quoted
    ]
    return "\n".join(rows)


async def abuse(person: Person, token: str) -> list[httpx.Response]:
    """Sends a live token everywhere but where it belongs, and all that can go wrong with it."""
    server, headers = person.client, bearer(token)
    answers = [
        await server.request(method, path, headers=headers)
        for method in ("GET", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH")
        for path in ("/api/tokens", "/api/auth/me", "/api/v1/nothing", "/api/v1/token", "/", "/livez")
    ]
    answers += [
        await server.get("/api/v1/token", headers={"Authorization": value})
        for value in (token, f"Basic {token}", f"Bearer {token}x", f"Bearer  {token}", f"Bearer {token},{token}")
    ]
    answers += [
        await server.get("/api/v1/token", headers=given)
        for given in ({"X-API-Key": token}, {"Cookie": f"token={token}"}, {"User-Agent": token}, {"Referer": token})
    ]
    answers += [
        await server.get(path, headers=headers)
        for path in (
            f"/api/v1/token?access_token={token}",
            f"/api/v1/stats?model={token}",
            f"/api/v1/stats?days={token}",
            f"/api/v1/stats?start_date={token}",
            f"/api/v1/stats?api_key_id={token}",
        )
    ]
    paths = (f"/api/tokens/{token}", f"/api/tokens?cursor={token}", f"/api/tokens?state={token}", f"/{token}")
    answers += [await person.get(path) for path in paths]
    answers.append(await person.delete(f"/api/tokens/{token}"))
    for body in (token, f'"{token}"', f'{{"name": "x", "token": "{token}"}}', f'{{"expires_in_days": "{token}"}}'):
        answers.append(
            await person.call("POST", "/api/tokens", content=body, headers={"Content-Type": "application/json"})
        )
    answers.append(
        await person.call("POST", "/api/imports/activity", content=token, headers={"Content-Type": "text/csv"})
    )
    return answers


async def test_token_is_in_the_answer_that_shows_it_and_nowhere_else(
    person: Person, connection: asyncpg.Connection, log: Path
) -> None:
    created = [await person.creates_token(f"canary {number}") for number in range(4)]
    tokens = [entry["token"] for entry in created]
    answers = [await person.get("/api/tokens"), await person.get(f"/api/tokens/{created[0]['id']}")]
    answers += [await person.client.get("/api/v1/token", headers=bearer(token)) for token in tokens]
    answers.append(await person.delete(f"/api/tokens/{created[3]['id']}"))
    answers.append(await person.client.get("/api/v1/token", headers=bearer(tokens[3])))
    for _ in range(3):
        answers.append(await person.post("/api/tokens", {"name": "until it is refused"}))
    made = [answer for answer in answers if answer.status_code == 201 and "token" in answer.json()]
    answers = [answer for answer in answers if answer not in made] + await abuse(person, tokens[0])
    tokens += [answer.json()["token"] for answer in made]
    assert {answer.status_code for answer in answers} >= {200, 204, 400, 401, 404, 405, 422}
    for answer in answers:
        said = answer.content + str(answer.headers).encode()
        assert not TOKEN.search(said), (answer.request.url, said)
    said = contents(log)
    assert b'"debug"' in said  # it does say what it can
    assert not TOKEN.search(said)
    stored = await everything_stored(connection)
    for token in tokens:
        assert hashlib.sha256(token.encode()).hexdigest() in stored  # that we would have seen it
        secret = token[7:39]
        assert secret not in stored
        assert secret.encode().hex() not in stored


async def test_errors_do_not_bring_a_token_into_the_log(
    person: Person, connection: asyncpg.Connection, log: Path
) -> None:
    token = (await person.creates_token())["token"]
    other = await person.creates_token()
    # broken while it is used
    await connection.execute("ALTER TABLE api_token_meters RENAME TO gone")
    answers = [
        await person.client.get("/api/v1/token", headers=bearer(token)),
        await person.post("/api/tokens", {"name": "x"}),
        await person.get("/api/tokens"),
    ]
    await connection.execute("ALTER TABLE gone RENAME TO api_token_meters")
    # the driver's own words would quote the row
    await connection.execute("ALTER TABLE api_tokens ADD CONSTRAINT no_more CHECK (name <> 'x')")
    answers.append(await person.post("/api/tokens", {"name": "x"}))
    await connection.execute("ALTER TABLE api_tokens DROP CONSTRAINT no_more")
    assert [answer.status_code for answer in answers] == [500] * 4
    # cut off in the middle of a statement
    async with connection.transaction():
        await connection.execute("LOCK TABLE api_token_meters, users")
        waiting = [
            asyncio.create_task(person.client.get("/api/v1/token", headers=bearer(token))),
            asyncio.create_task(person.post("/api/tokens", {"name": "y"})),
            asyncio.create_task(person.delete(f"/api/tokens/{other['id']}")),
        ]
        await asyncio.sleep(0.3)
        await connection.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """
        )
        interrupted = await asyncio.gather(*waiting)
    assert [answer.status_code for answer in interrupted] == [503] * 3
    for answer in (*answers, *interrupted):
        assert not TOKEN.search(answer.content + str(answer.headers).encode())
    said = contents(log)
    assert said.count(b"unexpected error") == 4
    assert not TOKEN.search(said)
    assert (await person.client.get("/api/v1/token", headers=bearer(token))).status_code == 200


async def test_database_log_never_holds_a_token_even_when_it_logs_all(
    settings: Settings, database_url: str, server_url: str
) -> None:
    database_log = server_log(server_url)
    if database_log is None:
        pytest.skip("the PostgreSQL server's log is not at hand")
    database = urlsplit(database_url).path.strip("/")
    async with admin(server_url) as connection:
        for setting in (
            "log_statement = 'all'",
            "log_min_error_statement = 'error'",
            "log_parameter_max_length = -1",
            "log_parameter_max_length_on_error = -1",
        ):
            await connection.execute(f'ALTER DATABASE "{database}" SET {setting}')
    async with running_app(settings) as client:  # on connections that log
        alice = await Person.arrives(client, "alice@example.com")
        created = await alice.creates_token("a name for the log")
        assert (await client.get("/api/v1/token", headers=bearer(created["token"]))).status_code == 200
        assert (await client.get("/api/v1/stats?model=x", headers=bearer(created["token"]))).is_success
    said = contents(database_log)
    assert b"a name for the log" in said  # it does log parameters
    assert hashlib.sha256(created["token"].encode()).hexdigest().encode() in said
    assert created["token"][7:39].encode() not in said
    assert created["token"][7:39].encode().hex().encode() not in said


def test_no_repr_shows_a_token() -> None:
    token = "or_api_WNapJRWhMmXK07SjSMJYPLokhaV7fwOO00VUzy"
    created = CreatedToken(7, "grafana", token, "or_api_WNap…VUzy", datetime.now(UTC), None)
    nested = {"created": [created, TokenLimitReached("Maximum 5 API tokens allowed")]}
    for text in (repr(created), str(created), f"{created!r:>10}", pformat(nested), repr(ValueError(created))):
        assert token[7:] not in text
        assert "7" in text
    assert msgspec.json.decode(msgspec.json.encode(created))["token"] == token  # and the one answer does
