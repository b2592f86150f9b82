"""Which sessions are there, and do they end when they should?"""

from __future__ import annotations

import asyncio
import re
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from app.accounts import repository
from app.errors import NotYours
from app.settings import Settings
from tests.accounts.bodies import assert_problem, assert_unauthenticated
from tests.accounts.test_login import disable
from tests.accounts.test_refresh import is_alive, refresh, refreshed
from tests.cast import PASSWORD, POLICY, Person, bearer, log_in
from tests.conftest import running_app

NO_IDS = (
    "0", "01", "-1", "+1", "1_0", "1.0", "1e3", "0x1", "abc", "%201", "1%20", "%D9%A1", "%EF%BC%91",
    "1%00", "%00", "%ff", "%0A1", "1%0A", str(2**63), str(2**64 + 1), "9" * 30, "9" * 5000,
)  # fmt: skip
NEW_PASSWORD = "another horse battery staple"


async def sessions(person: Person, **params: Any) -> list[dict[str, Any]]:
    """What the list shows."""
    answer = await person.get("/api/auth/sessions", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_list_shows_the_live_sessions_newest_first(alice: Person, bob: Person, client: httpx.AsyncClient) -> None:
    await log_in(client, alice.email, headers={"User-Agent": "Firefox on the laptop"})
    newest, oldest = await sessions(alice)
    assert newest.keys() == {
        "id", "created_at", "last_used_at", "expires_at", "client_address", "client_agent", "is_current",
    }  # fmt: skip
    assert newest["id"] > oldest["id"]
    assert (newest["is_current"], oldest["is_current"]) == (False, True)
    assert newest["client_agent"] == "Firefox on the laptop"
    assert newest["client_address"] == "127.0.0.1"
    assert newest["created_at"].endswith("Z")
    start, end = (datetime.fromisoformat(newest[name]) for name in ("last_used_at", "expires_at"))
    assert end - start == timedelta(days=7)
    assert len(await sessions(bob)) == 1


async def test_list_shows_a_refresh_as_use(alice: Person, client: httpx.AsyncClient) -> None:
    before = (await sessions(alice))[0]
    await refreshed(client, alice.tokens)
    after = (await sessions(alice))[0]
    assert after["id"] == before["id"]
    assert after["created_at"] == before["created_at"]
    assert after["last_used_at"] > before["last_used_at"]


async def test_list_leaves_out_what_has_ended(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    for change in ("revoked_at = now()", "expires_at = now()", "last_used_at = now() - interval '7 days'"):
        await log_in(client, alice.email)
        newest = (await sessions(alice))[0]["id"]
        await connection.execute(f"UPDATE sessions SET {change} WHERE id = $1", newest)  # noqa: S608 -- from above
        assert [entry["is_current"] for entry in await sessions(alice)] == [True], change


async def test_odd_agents_are_shown_without_harm(alice: Person, client: httpx.AsyncClient) -> None:
    await log_in(client, alice.email, headers={"User-Agent": "x" * 5000})
    await log_in(client, alice.email, headers=[(b"user-agent", b"a\x00b\x1b[31m\xff\r\nX: y")])
    odd, long, _ = await sessions(alice)
    assert odd["client_agent"].isprintable()
    assert odd["client_agent"].startswith("ab[31m")
    assert long["client_agent"] == "x" * 200


async def test_list_comes_in_pages_that_miss_and_repeat_nothing(alice: Person, client: httpx.AsyncClient) -> None:
    await asyncio.gather(*(log_in(client, alice.email) for _ in range(5)))
    whole = [entry["id"] for entry in await sessions(alice)]
    assert len(whole) == 6
    assert whole == sorted(whole, reverse=True)
    found, address = [], "/api/auth/sessions?limit=2"
    for page in range(3):
        answer = await alice.get(address)
        assert len(answer.json()) == 2
        found += [entry["id"] for entry in answer.json()]
        link = re.fullmatch(r'<(/api/auth/sessions\?[^>]+)>; rel="next"', answer.headers.get("link", ""))
        assert (link is None) == (page == 2)
        address = link[1] if link else ""
    assert found == whole
    assert "link" not in (await alice.get("/api/auth/sessions")).headers


async def test_link_begins_with_the_public_address(
    settings: Settings, alice: Person, client: httpx.AsyncClient
) -> None:
    await log_in(client, alice.email)
    async with running_app(msgspec.structs.replace(settings, public_url="https://watcher.example.com")) as public:
        answer = await public.get("/api/auth/sessions?limit=1", headers=alice.headers)
    assert answer.headers["link"].startswith("<https://watcher.example.com/api/auth/sessions?limit=1&cursor=")


async def test_odd_queries_are_refused(alice: Person) -> None:
    for query in (
        "limit=0", "limit=-1", "limit=1001", "limit=", "limit=x", "limit=1_0", "limit=%201", "limit=+1", "limit=1.0",
        "limit=1e2", "limit=%D9%A1", f"limit={10**30}", "limit=1&limit=2", "cursor=", "cursor=0", "cursor=x",
        "cursor=1_0", f"cursor={2**63}", "cursor=%00", "cursor=%ff", "unknown=1", "user_id=1", "limit[]=1",
    ):  # fmt: skip
        answer = await alice.get(f"/api/auth/sessions?{query}")
        assert answer.status_code == 422, query
        assert_problem(answer, 422, "invalid")
    assert (await alice.get("/api/auth/sessions?limit=1000&cursor=1")).json() == []


async def test_ending_a_session_stops_its_tokens_at_once(alice: Person, client: httpx.AsyncClient) -> None:
    other = await log_in(client, alice.email)
    other_id = (await sessions(alice))[0]["id"]
    assert await is_alive(client, other)
    answer = await alice.delete(f"/api/auth/sessions/{other_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert not await is_alive(client, other)
    assert_unauthenticated(await refresh(client, other), credential_sent=True)
    assert await is_alive(client, alice.tokens)
    assert (await alice.delete(f"/api/auth/sessions/{other_id}")).status_code == 204  # again is no error


async def test_a_session_may_end_itself(alice: Person, client: httpx.AsyncClient) -> None:
    own_id = (await sessions(alice))[0]["id"]
    assert (await alice.delete(f"/api/auth/sessions/{own_id}")).status_code == 204
    assert not await is_alive(client, alice.tokens)


async def test_session_of_somebody_else_is_forbidden_and_stays(
    alice: Person, bob: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    bobs = (await sessions(bob))[0]["id"]
    assert_problem(await alice.delete(f"/api/auth/sessions/{bobs}"), 403, "not_yours")
    with pytest.raises(NotYours):  # where no transaction is there to be undone
        await repository.end_session(connection, bobs, alice.id)
    assert await is_alive(client, bob.tokens)
    assert await refreshed(client, bob.tokens)


async def test_session_that_does_not_exist_is_not_found(alice: Person) -> None:
    for session_id in ("999999", str(2**63 - 1), *NO_IDS):
        answer = await alice.delete(f"/api/auth/sessions/{session_id}")
        assert answer.status_code == 404, session_id
        assert_problem(answer, 404, "not_found")
    assert len(await sessions(alice)) == 1


async def test_ending_all_others_leaves_this_one(alice: Person, bob: Person, client: httpx.AsyncClient) -> None:
    others = await asyncio.gather(*(log_in(client, alice.email) for _ in range(3)))
    answer = await alice.delete("/api/auth/sessions")
    assert (answer.status_code, answer.content) == (204, b"")
    for other in others:
        assert not await is_alive(client, other)
        assert_unauthenticated(await refresh(client, other), credential_sent=True)
    assert await is_alive(client, alice.tokens)
    assert await is_alive(client, bob.tokens)
    assert len(await sessions(alice)) == 1


async def test_logout_ends_this_session_and_no_other(
    settings: Settings, alice: Person, client: httpx.AsyncClient
) -> None:
    other = await log_in(client, alice.email)
    answer = await alice.post("/api/auth/logout")
    assert (answer.status_code, answer.content) == (204, b"")
    assert_unauthenticated(await alice.get("/api/auth/me"), credential_sent=True)
    async with running_app(settings) as elsewhere:  # no process remembers a verdict of its own
        assert not await is_alive(elsewhere, alice.tokens)
        assert await is_alive(elsewhere, other)
    assert_unauthenticated(await alice.post("/api/auth/logout"), credential_sent=True)
    assert await is_alive(client, other)


async def test_disabling_ends_sessions_at_once_and_enabling_brings_none_back(
    alice: Person, bob: Person, client: httpx.AsyncClient, database_url: str
) -> None:
    other = await log_in(client, alice.email)
    await disable(database_url, alice.email)
    for _ in range(2):
        for tokens in (alice.tokens, other):
            assert_unauthenticated(
                await client.get("/api/auth/me", headers=bearer(tokens["access_token"])), credential_sent=True
            )
            assert_unauthenticated(await refresh(client, tokens), credential_sent=True)
        await disable(database_url, alice.email, is_disabled=False)
    assert await is_alive(client, bob.tokens)


async def test_login_racing_a_password_change_leaves_no_session_with_the_old_password(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    old, new = PASSWORD, NEW_PASSWORD
    outcomes = set()
    for _ in range(4):
        change = alice.post("/api/auth/password", {"current_password": old, "new_password": new})
        logins = [client.post("/api/auth/login", json={"email": alice.email, "password": old}) for _ in range(8)]
        changed, *answers = await asyncio.gather(change, *logins)
        assert changed.status_code == 204, changed.text
        for answer in answers:
            outcomes.add(answer.status_code)
            if answer.status_code == 200:
                assert not await is_alive(client, answer.json())
                assert_unauthenticated(await refresh(client, answer.json()), credential_sent=True)
        assert await connection.fetchval("SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == 1
        assert await is_alive(client, alice.tokens)
        old, new = new, old
    assert outcomes <= {200, 401}
    assert 200 in outcomes


async def test_login_waits_for_a_password_change_that_is_under_way(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    """The same race at its narrowest: the change has ended all the sessions it saw, and is not committed yet."""
    change = connection.transaction()
    await change.start()
    await connection.execute("UPDATE users SET password_hash = 'another' WHERE id = $1", alice.id)
    await repository.end_sessions(connection, alice.id)
    login = asyncio.create_task(client.post("/api/auth/login", json={"email": alice.email, "password": PASSWORD}))
    async with asyncio.timeout(10):
        while not login.done() and not await is_anybody_waiting(connection):  # noqa: ASYNC110 -- the database tells no event
            await asyncio.sleep(0.01)
    await change.commit()
    assert_problem(await login, 401, "wrong_credentials")
    assert await connection.fetchval("SELECT count(*) FROM sessions WHERE revoked_at IS NULL") == 0


@pytest.mark.parametrize(
    "change", ["password_hash = 'another'", "disabled_at = now()", "deleted_at = now(), email = '', email_key = NULL"]
)
async def test_session_is_opened_for_nobody_but_who_was_verified(
    change: str, alice: Person, connection: asyncpg.Connection
) -> None:
    """Whatever happens to the account between the password and the session."""
    user = await repository.find_credentials(connection, alice.id)
    assert user
    await connection.execute(f"UPDATE users SET {change} WHERE id = $1", alice.id)  # noqa: S608 -- ours
    for create in (repository.create_session, repository.create_browser_session):
        assert await create(connection, user, POLICY, b"x" * 32, "127.0.0.1", "x") is None


async def is_anybody_waiting(connection: asyncpg.Connection) -> bool:
    """For a lock, in this database."""
    await connection.execute("SELECT pg_stat_clear_snapshot()")  # else a transaction sees what it saw the first time
    return await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
