"""Does `POST /api/tokens` make tokens, show them once, and refuse what it must?"""

from __future__ import annotations

import asyncio
import hashlib
import re
import zlib
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import msgspec
import pytest

from app.settings import Settings
from tests.accounts.bodies import assert_problem, assert_refuses_bad_bodies, assert_unauthenticated
from tests.cast import Person, bearer
from tests.conftest import running_app

CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# how many statements wait for a lock in this database
WAITING = """
    SELECT count(*) FROM pg_locks AS l INNER JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE NOT l.granted AND a.datname = current_database()
"""


async def stored(connection: asyncpg.Connection) -> int:
    """How many tokens there are, of whomever."""
    return await connection.fetchval("SELECT count(*) FROM api_tokens")


async def test_answer_is_the_token_and_all_about_it(alice: Person) -> None:
    before = datetime.now(UTC)
    answer = await alice.post("/api/tokens", {"name": "  grafana at home\n"})
    assert answer.status_code == 201, answer.text
    created = answer.json()
    assert created.keys() == {"id", "name", "token", "hint", "created_at", "expires_at"}
    assert created["id"] > 0
    assert created["name"] == "grafana at home"
    assert created["hint"] == f"or_api_{created['token'][7:11]}…{created['token'][-4:]}"
    assert created["created_at"].endswith("Z")
    assert abs(datetime.fromisoformat(created["created_at"]) - before) < timedelta(seconds=10)
    assert created["expires_at"] is None
    assert answer.headers["location"] == f"/api/tokens/{created['id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


async def test_token_has_the_promised_format(alice: Person) -> None:
    match = re.fullmatch("or_api_([0-9A-Za-z]{32})([0-9A-Za-z]{6})", (await alice.creates_token())["token"])
    assert match
    number = 0
    for character in match[2]:
        number = number * 62 + CHARACTERS.index(character)
    assert number == zlib.crc32(match[1].encode())


async def test_only_the_hash_is_stored(alice: Person, connection: asyncpg.Connection) -> None:
    created = await alice.creates_token()
    row = await connection.fetchrow("SELECT * FROM api_tokens")
    assert row["user_id"] == alice.id
    assert row["token_hash"] == hashlib.sha256(created["token"].encode()).digest()
    assert created["token"][7:39] not in str(dict(row))


async def test_location_begins_with_the_public_address(settings: Settings, alice: Person) -> None:
    async with running_app(msgspec.structs.replace(settings, public_url="https://watcher.example.com")) as public:
        answer = await public.post("/api/tokens", json={"name": "x"}, headers=alice.headers)
    assert answer.headers["location"] == f"https://watcher.example.com/api/tokens/{answer.json()['id']}"


async def test_names_need_not_be_unique(alice: Person) -> None:
    first, second = await alice.creates_token("same"), await alice.creates_token("same")
    assert first["token"] != second["token"]
    assert first["id"] < second["id"]


@pytest.mark.parametrize("days", [1, 30, 365])
async def test_token_expires_after_the_given_days(alice: Person, days: int) -> None:
    created = await alice.creates_token(expires_in_days=days)
    start, end = (datetime.fromisoformat(created[name]) for name in ("created_at", "expires_at"))
    assert end - start == timedelta(days=days)
    assert created["expires_at"].endswith("Z")


async def test_null_days_mean_for_ever(alice: Person) -> None:
    assert (await alice.creates_token(expires_in_days=None))["expires_at"] is None


async def test_bad_days_are_refused(alice: Person, connection: asyncpg.Connection) -> None:
    for days in (0, -1, 366, 2**31, 2**63, 2**64, 10**30, 1.5, "1", "30", True, False, [], {}):
        answer = await alice.post("/api/tokens", {"name": "x", "expires_in_days": days})
        assert answer.status_code == 422, days
        assert_problem(answer, 422, "invalid", "#/expires_in_days")
    assert await stored(connection) == 0


async def test_bad_name_is_refused_and_named(alice: Person, connection: asyncpg.Connection) -> None:
    for name in ("", " \t\n", "x" * 101, "a\nb", "a\u202eb"):
        assert_problem(await alice.post("/api/tokens", {"name": name}), 422, "invalid", "#/name")
    assert_problem(await alice.post("/api/tokens", {}), 422, "invalid", "#/name")
    assert await stored(connection) == 0


async def test_bad_bodies_are_refused(alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    await assert_refuses_bad_bodies(client, "POST", "/api/tokens", {"name": "grafana"}, alice.headers)
    assert await stored(connection) == 0


async def test_nobody_can_set_what_is_not_theirs_to_set(
    alice: Person, bob: Person, connection: asyncpg.Connection
) -> None:
    for field, value in {
        "id": 1, "user_id": bob.id, "userId": bob.id, "token": "or_api_x", "token_hash": "x", "hint": "x",
        "is_active": True, "created_at": "2020-01-01T00:00:00Z", "expires_at": None, "revoked_at": None,
        "request_count": 0,
    }.items():  # fmt: skip
        answer = await alice.post("/api/tokens", {"name": "x", field: value})
        assert answer.status_code == 422, field
        assert_problem(answer, 422, "invalid", f"#/{field}")
    assert await stored(connection) == 0


async def test_unknown_query_parameters_are_refused(alice: Person, connection: asyncpg.Connection) -> None:
    assert_problem(await alice.post("/api/tokens?user_id=1", {"name": "x"}), 422, "invalid", "#/user_id")
    assert await stored(connection) == 0


async def test_five_tokens_are_allowed_and_the_sixth_is_not(
    alice: Person, bob: Person, connection: asyncpg.Connection
) -> None:
    for number in range(5):
        await alice.creates_token(f"token {number}")
    for _ in range(2):
        problem = assert_problem(await alice.post("/api/tokens", {"name": "x"}), 400, "token_limit_reached")
        assert problem["detail"] == "Maximum 5 API tokens allowed"
    assert await stored(connection) == 5
    await bob.creates_token()  # everybody has a limit of their own


@pytest.mark.parametrize("limit", [0, 1, 7])
async def test_limit_is_the_operators_choice(settings: Settings, alice: Person, limit: int) -> None:
    async with running_app(msgspec.structs.replace(settings, max_api_tokens_per_user=limit)) as client:
        for _ in range(limit):
            answer = await client.post("/api/tokens", json={"name": "x"}, headers=alice.headers)
            assert answer.status_code == 201, answer.text
        answer = await client.post("/api/tokens", json={"name": "x"}, headers=alice.headers)
    problem = assert_problem(answer, 400, "token_limit_reached")
    assert problem["detail"] == f"Maximum {limit} API tokens allowed"


@pytest.mark.parametrize("change", ["revoked_at = now()", "expires_at = now()"])
async def test_tokens_that_are_not_active_do_not_count(
    alice: Person, connection: asyncpg.Connection, change: str
) -> None:
    first, *_ = [await alice.creates_token() for _ in range(5)]
    await connection.execute(f"UPDATE api_tokens SET {change} WHERE id = $1", first["id"])  # noqa: S608 -- from above
    await alice.creates_token()
    assert_problem(await alice.post("/api/tokens", {"name": "x"}), 400, "token_limit_reached")


async def test_a_bad_name_is_refused_at_the_limit_too(alice: Person) -> None:
    for _ in range(5):
        await alice.creates_token()
    assert_problem(await alice.post("/api/tokens", {"name": ""}), 422, "invalid", "#/name")


async def test_creating_needs_a_login(alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection) -> None:
    token = (await alice.creates_token())["token"]
    body = {"name": "x"}
    assert_unauthenticated(await client.post("/api/tokens", json=body), credential_sent=False)
    for credential in ("x", token, alice.tokens["refresh_token"], alice.tokens["access_token"] + "x"):
        answer = await client.post("/api/tokens", json=body, headers=bearer(credential))
        assert_unauthenticated(answer, credential_sent=True)
    # who is not let in does not learn what is wrong with the body
    assert_unauthenticated(await client.post("/api/tokens", content=b"{"), credential_sent=False)
    assert await stored(connection) == 1


@pytest.mark.parametrize("change", ["disabled_at = now()", "deleted_at = now(), email_key = NULL"])
async def test_account_that_is_gone_in_the_meantime_gets_no_token(
    change: str, alice: Person, connection: asyncpg.Connection
) -> None:
    async with connection.transaction():
        await connection.execute(f"UPDATE users SET {change} WHERE id = $1", alice.id)  # noqa: S608 -- from above
        creation = asyncio.create_task(alice.post("/api/tokens", {"name": "x"}))
        while not await connection.fetchval(WAITING):
            assert not creation.done()
    assert_unauthenticated(await creation, credential_sent=True)
    assert await stored(connection) == 0
