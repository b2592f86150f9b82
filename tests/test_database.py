"""When the database is slow, full, broken or away: is every wait bounded, is it a 503, and does it work again afterwards?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import msgspec
import pytest

from app.accounts.structs import StoredUser
from app.database import RELEASE_TIMEOUT_SECONDS, Database, Query
from app.errors import Unavailable
from app.settings import Settings
from tests.conftest import new_database, running_app
from tests.faults.proxy import running_proxy
from tests.locks import bound, waiting_backend

check_any_user = Query("accounts/check_any_user", bool)
find_credentials = Query("accounts/find_credentials", StoredUser)
delete_user = Query("accounts/delete_user")
create_user = Query("accounts/create_user", int)

AWAY = {
    "nothing listens": "postgresql://nobody@127.0.0.1:1/nothing",
    "no socket": "postgresql://nobody@/nothing?host=/nonexistent",
}


@pytest.fixture
async def database_url(server_url: str, template: str) -> AsyncGenerator[str]:
    """Of the test's own: in one that served others, their applications still have connections."""
    async with new_database(server_url, template) as url:
        yield url


@asynccontextmanager
async def opened(url: str, pool_size: int = 1) -> AsyncGenerator[Database]:
    db = Database(url, pool_size=pool_size)
    await db.open()
    try:
        yield db
    finally:
        await db.close()


@pytest.fixture
async def db(database_url: str) -> AsyncGenerator[Database]:
    """With one connection, so that whatever happens to it is noticed."""
    async with opened(database_url) as db:
        yield db


@asynccontextmanager
async def locked(connection: asyncpg.Connection) -> AsyncGenerator[None]:
    """Whoever asks for users waits."""
    async with connection.transaction():
        await connection.execute("LOCK TABLE users IN ACCESS EXCLUSIVE MODE")
        yield


async def service_backends(connection: asyncpg.Connection) -> list[int]:
    rows = await connection.fetch(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'openrouter-watcher'"
    )
    return [row["pid"] for row in rows]


# --- not now


async def test_exhausted_pool_is_unavailable_in_time_and_recovers(db: Database) -> None:
    async with db.connection():
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await check_any_user.get(db)
        assert 1.5 < time.monotonic() - began < 2.5
    assert await check_any_user.get(db) is False


async def test_request_waits_for_a_connection_that_comes_free_in_time(db: Database) -> None:
    async with db.connection():
        waiting = asyncio.create_task(check_any_user.get(db))
        await asyncio.sleep(0.1)
    assert await waiting is False


async def test_wait_for_a_connection_that_was_given_up_takes_none(db: Database) -> None:
    async with db.connection():
        waiting = [asyncio.create_task(check_any_user.get(db)) for _ in range(5)]
        await asyncio.sleep(0.05)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert await check_any_user.get(db) is False


@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout"])
async def test_statement_that_takes_too_long_is_unavailable_and_the_connection_stays(
    setting: str, db: Database, connection: asyncpg.Connection
) -> None:
    await bound(connection, setting, "200ms")
    async with locked(connection):
        with pytest.raises(Unavailable):
            await check_any_user.get(db)
        (before,) = await service_backends(connection)
    assert await check_any_user.get(db) is False
    assert await service_backends(connection) == [before]


async def test_request_that_was_given_up_leaves_the_connection_usable(
    db: Database, connection: asyncpg.Connection
) -> None:
    async with locked(connection):
        task = asyncio.create_task(check_any_user.get(db))
        await waiting_backend(connection)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await check_any_user.get(db) is False


async def test_connection_ended_by_the_server_is_unavailable_once(db: Database, connection: asyncpg.Connection) -> None:
    async with locked(connection):
        task = asyncio.create_task(check_any_user.get(db))
        await connection.execute("SELECT pg_terminate_backend($1)", await waiting_backend(connection))
        with pytest.raises(Unavailable):
            await task
    assert await check_any_user.get(db) is False


async def test_idle_connection_ended_by_the_server_is_replaced(db: Database, connection: asyncpg.Connection) -> None:
    """However far the news has come: the driver has several ways to notice."""
    for turns in range(24):
        assert await check_any_user.get(db) is False
        (before,) = await service_backends(connection)
        await connection.execute("SELECT pg_terminate_backend($1)", before)
        for _ in range(turns % 3):
            await asyncio.sleep(0)
        with suppress(Unavailable):  # once is all right
            await check_any_user.get(db)
        assert await check_any_user.get(db) is False
        assert before not in await service_backends(connection)


@pytest.mark.parametrize("url", AWAY.values(), ids=AWAY.keys())
async def test_server_that_is_not_there_is_unavailable(url: str) -> None:
    async with opened(url) as db:
        began = time.monotonic()
        for use in (check_any_user.get(db), _transaction(db)):
            with pytest.raises(Unavailable):
                await use
        assert time.monotonic() - began < 5


async def test_database_that_does_not_exist_is_unavailable(database_url: str) -> None:
    async with opened(urlunsplit(urlsplit(database_url)._replace(path="/no_such_database"))) as db:
        with pytest.raises(Unavailable):
            await check_any_user.get(db)


async def test_database_that_takes_no_writes_is_unavailable(db: Database, connection: asyncpg.Connection) -> None:
    await bound(connection, "default_transaction_read_only", "on")
    with pytest.raises(Unavailable):
        await delete_user.run(db, 1)
    assert await check_any_user.get(db) is False


async def test_pool_that_is_closed_is_unavailable(database_url: str) -> None:
    db = Database(database_url)
    with pytest.raises(Unavailable):
        await check_any_user.get(db)
    await db.open()
    assert await check_any_user.get(db) is False
    await db.close()
    with pytest.raises(Unavailable):
        await check_any_user.get(db)
    await db.close()  # twice is no error


async def test_closing_does_not_wait_for_ever(database_url: str, connection: asyncpg.Connection) -> None:
    for setting in ("lock_timeout", "statement_timeout"):
        await bound(connection, setting, "0")
    async with opened(database_url) as db, locked(connection):
        task = asyncio.create_task(check_any_user.get(db))
        await waiting_backend(connection)
        began = time.monotonic()
        await db.close()
        assert time.monotonic() - began < 6
    with pytest.raises(Unavailable):
        await task


# --- never


@pytest.mark.parametrize("argument", ["one", 2**63, b"1", [1]])
async def test_argument_of_the_wrong_type_is_our_own_mistake(argument: object, db: Database) -> None:
    with pytest.raises(asyncpg.DataError):
        await find_credentials.find(db, argument)
    with pytest.raises(asyncpg.DataError):
        async with db.transaction() as connection:
            await find_credentials.find(connection, argument)
    assert await find_credentials.find(db, 1) is None


async def test_text_with_nul_is_no_reason_to_come_back_later(db: Database) -> None:
    with pytest.raises(asyncpg.CharacterNotInRepertoireError):
        await create_user.get(db, "a\0b", "k", "h")


# --- transactions


async def _transaction(db: Database) -> None:
    async with db.transaction():
        pass


async def _users(connection: asyncpg.Connection) -> int:
    return await connection.fetchval("SELECT count(*) FROM users")


async def test_transaction_is_kept_at_its_end(db: Database, connection: asyncpg.Connection) -> None:
    async with db.transaction() as inside:
        await create_user.get(inside, "a", "a", "h")
        assert await _users(connection) == 0
    assert await _users(connection) == 1


async def test_transaction_is_undone_by_an_exception(db: Database, connection: asyncpg.Connection) -> None:
    with pytest.raises(LookupError):  # noqa: PT012 -- it is about leaving the block
        async with db.transaction() as inside:
            await create_user.get(inside, "a", "a", "h")
            raise LookupError
    assert await _users(connection) == 0
    assert await check_any_user.get(db) is False


async def test_transaction_that_loses_its_connection_is_unavailable_and_undone(
    db: Database, connection: asyncpg.Connection
) -> None:
    with pytest.raises(Unavailable):  # noqa: PT012 -- it is about leaving the block
        async with db.transaction() as inside:
            await create_user.get(inside, "a", "a", "h")
            await connection.execute("SELECT pg_terminate_backend($1)", (await service_backends(connection))[0])
            await create_user.get(inside, "b", "b", "h")
    assert await _users(connection) == 0
    assert await check_any_user.get(db) is False


async def test_database_that_falls_silent_is_unavailable_once_and_not_waited_for_again(database_url: str) -> None:
    """Neither for the rollback nor for the connection's return."""
    ask_briefly = Query("accounts/check_any_user", bool, timeout_seconds=0.2)
    async with running_proxy(database_url) as proxy, opened(proxy.url) as db:
        with pytest.raises(Unavailable):  # noqa: PT012 -- it is about leaving the block
            async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS), db.transaction() as inside:
                proxy.swallow()
                await ask_briefly.get(inside)
        proxy.pass_on()
        assert await check_any_user.get(db) is False


async def test_transaction_left_idle_is_ended_by_the_server(db: Database, connection: asyncpg.Connection) -> None:
    await bound(connection, "idle_in_transaction_session_timeout", "100ms")
    with pytest.raises(Unavailable):  # noqa: PT012 -- it is about leaving the block
        async with db.transaction() as inside:
            await create_user.get(inside, "a", "a", "h")
            await asyncio.sleep(0.4)
    assert await _users(connection) == 0
    assert await check_any_user.get(db) is False


# --- rows


async def test_run_tells_how_many_rows_changed(db: Database) -> None:
    user_id = await create_user.get(db, "a", "a", "h")
    assert await delete_user.run(db, user_id) == 1
    assert await delete_user.run(db, user_id) == 0


async def test_rows_are_structs_scalars_or_none(db: Database) -> None:
    user_id = await create_user.get(db, "a", "a", "h")
    assert await find_credentials.find(db, user_id) == StoredUser(user_id, "a", "h", is_enabled=True)
    assert await find_credentials.fetch(db, user_id) == [StoredUser(user_id, "a", "h", is_enabled=True)]
    assert await find_credentials.find(db, 0) is None
    assert await find_credentials.fetch(db, 0) == []
    assert await check_any_user.get(db) is True


def test_query_without_a_file_fails_where_it_is_made() -> None:
    with pytest.raises(FileNotFoundError):
        Query("accounts/no_such_file")


# --- over HTTP


async def test_readyz_says_that_the_database_is_away_while_livez_stays() -> None:
    settings = Settings(
        jwt_secrets=(bytes(range(32)),), encryption_keys=(bytes(range(32)),), database_url=AWAY["nothing listens"]
    )
    async with running_app(settings) as client:
        alive, ready = await client.get("/livez"), await client.get("/readyz")
        assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
        assert_unavailable(ready)


async def test_readyz_is_200_where_all_is_well(client: httpx.AsyncClient) -> None:
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_readyz_says_that_the_database_takes_no_writes(
    client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    pids = await service_backends(connection)
    await bound(connection, "default_transaction_read_only", "on")
    for pid in pids:
        await connection.execute("SELECT pg_terminate_backend($1)", pid)
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/livez")).status_code == 200


async def test_busy_service_answers_503_and_then_works_again(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    await bound(connection, "lock_timeout", "300ms")
    async with running_app(msgspec.structs.replace(settings, database_pool_size=2)) as client:
        attempt = {"email": "a@example.com", "password": "whatever it is"}
        async with locked(connection):
            answers = await asyncio.gather(*(client.post("/api/auth/login", json=attempt) for _ in range(20)))
        for answer in answers:
            assert_unavailable(answer)
        assert (await client.post("/api/auth/login", json=attempt)).status_code == 401


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "unavailable"
