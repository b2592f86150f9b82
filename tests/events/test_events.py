"""Does an account's owner learn what happened to it, and nobody else, and can nobody make it unhappen?"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import asyncpg
import httpx
import pytest

from app import scheduler
from app.database import Database
from app.events.structs import Kind
from app.web.formats import event
from tests.accounts.bodies import assert_problem
from tests.cast import PASSWORD, Person, bearer, log_in
from tests.commands.running import environment_of, run

EXPORT = Path("tests/data/activity-export-2026-08-24.csv").read_bytes()
OTHER_PASSWORD = "a different battery of horses"
AGENT = {"User-Agent": "Firefox on the laptop"}


async def events(person: Person, query: str = "") -> list[dict[str, Any]]:
    answer = await person.get(f"/api/events{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def kinds(person: Person) -> list[str]:
    """In the order in which they happened."""
    return [entry["kind"] for entry in reversed(await events(person))]


async def test_whoever_registers_and_logs_in_is_told_from_where(client: httpx.AsyncClient) -> None:
    carol = await Person.arrives(client, "carol@example.com")
    login, registration = await events(carol)
    assert (registration["kind"], login["kind"]) == ("registered", "login")
    assert login.keys() == {
        "id", "kind", "occurred_at", "client_address", "client_agent", "object_id", "object_name"
    }  # fmt: skip
    assert (login["client_address"], login["object_name"]) == ("127.0.0.1", None)
    assert login["client_agent"].startswith("python-httpx")
    assert login["occurred_at"].endswith("Z")
    (session,) = (await carol.get("/api/auth/sessions")).json()
    assert login["object_id"] == session["id"]


async def test_refused_passwords_are_told_and_those_of_nobody_are_not(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    for email in (alice.email, "nobody@example.com", "no address"):
        body = {"email": email, "password": "not it, not it"}
        assert (await client.post("/api/auth/login", json=body, headers=AGENT)).status_code == 401
    assert_problem(await alice.call("DELETE", "/api/auth/me", json={"password": "not it"}), 403, "wrong_password")
    change = {"current_password": "not it", "new_password": OTHER_PASSWORD}
    assert_problem(await alice.post("/api/auth/password", change), 403, "wrong_password")
    assert await kinds(alice) == ["login_failed", "password_refused", "password_refused"]
    assert (await events(alice))[2]["client_agent"] == AGENT["User-Agent"]
    assert await connection.fetchval("SELECT count(*) FROM events") == 3


async def test_tokens_made_and_revoked_are_told_once(alice: Person) -> None:
    token = await alice.creates_token("grafana")
    assert_problem(await alice.post("/api/tokens", {"name": ""}), 422, "invalid")
    for _ in range(2):
        assert (await alice.delete(f"/api/tokens/{token['id']}")).status_code == 204
    assert await kinds(alice) == ["token_created", "token_revoked"]
    assert {(entry["object_id"], entry["object_name"]) for entry in await events(alice)} == {(token["id"], "grafana")}
    assert token["token"][7:] not in str(await events(alice))


async def test_revocations_at_once_are_one_event(alice: Person) -> None:
    token = await alice.creates_token()
    path = f"/api/tokens/{token['id']}"
    answers = await asyncio.gather(*(alice.delete(path) for _ in range(8)))
    assert {answer.status_code for answer in answers} == {204}
    assert await kinds(alice) == ["token_created", "token_revoked"]


async def test_refused_creations_leave_no_event(alice: Person) -> None:
    answers = await asyncio.gather(*(alice.post("/api/tokens", {"name": "x"}) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [201] * 5 + [400] * 7
    assert await kinds(alice) == ["token_created"] * 5


async def test_ends_of_sessions_are_told(alice: Person, client: httpx.AsyncClient) -> None:
    one, two = [await log_in(client, alice.email) for _ in range(2)]
    assert (await client.post("/api/auth/logout", headers=bearer(one["access_token"]))).status_code == 204
    newest = (await alice.get("/api/auth/sessions")).json()[0]["id"]
    for _ in range(2):
        assert (await alice.delete(f"/api/auth/sessions/{newest}")).status_code == 204
    assert (await alice.delete("/api/auth/sessions")).status_code == 204  # there is none to end
    await log_in(client, alice.email)
    assert (await alice.delete("/api/auth/sessions")).status_code == 204
    assert await kinds(alice) == ["login", "login", "logout", "session_ended", "login", "other_sessions_ended"]
    assert two["access_token"]


async def test_changed_password_is_told(alice: Person) -> None:
    change = {"current_password": PASSWORD, "new_password": OTHER_PASSWORD}
    assert (await alice.post("/api/auth/password", change)).status_code == 204
    assert await kinds(alice) == ["password_changed"]


async def test_refresh_token_that_comes_back_is_told(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    again = await log_in(client, alice.email)
    first = {"refresh_token": again["refresh_token"]}
    assert (await client.post("/api/auth/refresh", json=first)).status_code == 200
    await connection.execute("UPDATE sessions SET last_used_at = now() - interval '1 minute'")
    for _ in range(2):
        assert (await client.post("/api/auth/refresh", json=first, headers=AGENT)).status_code == 401
    assert await kinds(alice) == ["login", "refresh_token_reused"]
    assert (await events(alice))[0]["client_agent"] == AGENT["User-Agent"]


async def test_usage_that_comes_in_and_goes_out_is_told(alice: Person) -> None:
    for _ in range(2):
        body = {"content": EXPORT, "headers": {"Content-Type": "text/csv"}}
        assert (await alice.call("POST", "/api/imports/activity", **body)).status_code == 200
    assert (await alice.get("/api/usage?format=csv&days=3660")).status_code == 200
    assert (await alice.call("HEAD", "/api/usage?format=csv")).status_code == 200
    assert (await alice.get("/api/usage")).status_code == 200
    assert await kinds(alice) == ["usage_imported", "usage_imported", "usage_exported"]


async def test_what_the_operator_does_is_told(database_url: str, alice: Person, client: httpx.AsyncClient) -> None:
    environment = environment_of(database_url)
    assert run(environment, "user", "disable", alice.email).returncode == 0
    body = {"email": alice.email, "password": PASSWORD}  # right, and refused all the same
    assert (await client.post("/api/auth/login", json=body)).status_code == 401
    assert run(environment, "user", "enable", alice.email).returncode == 0
    alice.tokens = await log_in(client, alice.email)
    assert await kinds(alice) == ["account_disabled", "login_failed", "account_enabled", "login"]
    assert [entry["client_address"] for entry in await events(alice)] == ["127.0.0.1", None, "127.0.0.1", None]


# --- reading them


async def test_events_come_in_pages_latest_first(alice: Person) -> None:
    tokens = [(await alice.creates_token(f"t{number}"))["id"] for number in range(5)]
    seen, path = list[int](), "/api/events?limit=2"
    while path:
        answer = await alice.get(path)
        seen += [entry["object_id"] for entry in answer.json()]
        path = answer.links.get("next", {}).get("url", "")
    assert seen == tokens[::-1]


async def test_nobody_reads_another_s_events(alice: Person, bob: Person) -> None:
    for person in (alice, bob):
        for number in range(2):
            await person.creates_token(f"{person.email} {number}")
    assert {entry["object_name"] for entry in await events(bob)} == {"bob@nas.local 0", "bob@nas.local 1"}
    cursor = (await alice.get("/api/events?limit=1")).links["next"]["url"].partition("cursor=")[2]
    assert_problem(await bob.get(f"/api/events?cursor={cursor}"), 422, "invalid", "#/cursor")
    assert_problem(await bob.get("/api/events?cursor=1"), 422, "invalid", "#/cursor")
    assert_problem(await alice.call("DELETE", "/api/events"), 405, "method_not_allowed")


def test_every_kind_has_words_for_people() -> None:
    assert all(event(kind) for kind in get_args(Kind))


# --- staying


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE events SET kind = 'login'",
        "UPDATE events SET occurred_at = now() - interval '1 year'",
        "DELETE FROM events",
        "TRUNCATE events",
        "TRUNCATE users CASCADE",
    ],
)
async def test_database_takes_no_event_back(alice: Person, connection: asyncpg.Connection, change: str) -> None:
    await alice.creates_token()
    with pytest.raises(asyncpg.RestrictViolationError):
        await connection.execute(change)
    assert await kinds(alice) == ["token_created"]


async def test_events_go_when_they_have_had_their_time_and_with_their_account(
    alice: Person, bob: Person, connection: asyncpg.Connection, database_url: str
) -> None:
    for person in (alice, bob):
        await person.creates_token()
    old = "INSERT INTO events (user_id, kind, client_agent, occurred_at) VALUES ($1, 'login', '', now() - $2::interval)"
    for days in (8, 29, 31, 400):
        await connection.execute(old, alice.id, timedelta(days=days))
    db = Database(database_url)
    await db.open()
    await scheduler.purge(db, timedelta(days=30))
    left = await events(alice)
    assert [entry["kind"] for entry in left].count("login") == 2
    assert (await bob.call("DELETE", "/api/auth/me", json={"password": PASSWORD})).status_code == 204
    await scheduler.purge(db, timedelta(days=30))
    await db.close()
    assert await events(alice) == left
    assert await connection.fetchval("SELECT count(*) FROM events WHERE user_id = $1", bob.id) == 0
    assert await connection.fetchval("SELECT count(*) FROM users WHERE id = $1", bob.id) == 0


async def test_version_without_events_can_remove_accounts(bob: Person, connection: asyncpg.Connection) -> None:
    await bob.creates_token()
    await bob.call("DELETE", "/api/auth/me", json={"password": PASSWORD})
    await connection.execute("DELETE FROM sessions; DELETE FROM api_tokens")
    await connection.execute("DELETE FROM users WHERE deleted_at IS NOT NULL")
    assert await connection.fetchval("SELECT count(*) FROM events") == 0
