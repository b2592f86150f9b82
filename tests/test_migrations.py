"""Is the schema made once, in order, whole or not at all, however many processes start?"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import asyncpg
import pytest

from app import migrate
from app.errors import Unavailable
from app.migrate import Migration, MigrationError, read_migrations
from tests.conftest import admin
from tests.write_schema import SCHEMA, render

FIRST = Migration(1, "0001_first", "CREATE TABLE first (id bigint NOT NULL);")
SECOND = Migration(2, "0002_second", "CREATE TABLE second (id bigint NOT NULL); INSERT INTO first (id) VALUES (1);")


@pytest.fixture
async def empty(empty_database_url: str) -> AsyncGenerator[asyncpg.Connection]:
    """A look at the database that is being migrated."""
    async with admin(empty_database_url) as connection:
        yield connection


async def tables(connection: asyncpg.Connection) -> set[str]:
    rows = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    return {row["relname"] for row in rows}


async def ledger(connection: asyncpg.Connection) -> list[str]:
    return [row["name"] for row in await connection.fetch("SELECT name FROM schema_migrations ORDER BY version")]


# --- the files


def test_files_count_from_0001_without_a_gap() -> None:
    names = sorted(path.name for path in (SCHEMA.parent / "migrations").iterdir())
    assert all(re.fullmatch(r"[0-9]{4}_[a-z0-9_]+\.sql", name) for name in names)
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    assert [f"{migration.name}.sql" for migration in read_migrations()] == names


@pytest.mark.parametrize(
    "names",
    [
        ["0002_b.sql"],
        ["0001_a.sql", "0003_c.sql"],
        ["0001_a.sql", "0001_b.sql"],
        ["0000_a.sql"],
        ["0001a.sql"],
        ["a.sql"],
    ],
)
def test_odd_numbering_is_refused(names: list[str], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(MigrationError, match="sql/migrations"):
        read_migrations(tmp_path)


async def test_schema_sql_is_what_the_migrations_make(database_url: str) -> None:
    assert SCHEMA.read_text(encoding="utf-8") == render(await migrate.describe(database_url)), "run `make schema`"


# --- applying them


async def test_migrations_are_applied_in_order_and_once(empty_database_url: str, empty: asyncpg.Connection) -> None:
    names = [migration.name for migration in read_migrations()]
    assert await migrate.migrate(empty_database_url) == names
    before = await migrate.describe(empty_database_url)
    assert await migrate.migrate(empty_database_url) == []
    assert await ledger(empty) == names
    assert await migrate.describe(empty_database_url) == before


async def test_only_what_is_new_is_applied(empty_database_url: str, empty: asyncpg.Connection) -> None:
    assert await migrate.migrate(empty_database_url, [FIRST]) == ["0001_first"]
    assert await migrate.migrate(empty_database_url, [FIRST, SECOND]) == ["0002_second"]
    assert await empty.fetchval("SELECT count(*) FROM first") == 1


@pytest.mark.parametrize("age", [0, 3], ids=["empty", "old"])
async def test_eight_starts_at_once_apply_each_migration_once(
    age: int, empty_database_url: str, empty: asyncpg.Connection
) -> None:
    known = read_migrations()
    await migrate.migrate(empty_database_url, known[:age])
    results = await asyncio.gather(*(migrate.migrate(empty_database_url) for _ in range(8)))
    names = [migration.name for migration in known]
    assert sorted(results, key=len) == [[]] * 7 + [names[age:]]
    assert await ledger(empty) == names


async def test_starts_of_several_processes_apply_each_migration_once(
    empty_database_url: str, empty: asyncpg.Connection
) -> None:
    environ = {
        **os.environ,
        "DATABASE_URL": empty_database_url,
        "JWT_SECRETS": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "ENCRYPTION_KEYS": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    }

    async def start() -> list[str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app", "migrate", env=environ, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        return output.decode().splitlines()

    results = await asyncio.gather(*(start() for _ in range(4)))
    applied = [f"applied {migration.name}" for migration in read_migrations()]
    assert sorted(results, key=len) == [[]] * 3 + [applied]
    assert await ledger(empty) == [migration.name for migration in read_migrations()]


# --- refusals


async def test_database_newer_than_the_code_is_refused_and_left_alone(
    empty_database_url: str, empty: asyncpg.Connection
) -> None:
    await migrate.migrate(empty_database_url, [FIRST, SECOND])
    with pytest.raises(MigrationError, match=r"newer than this version .* 0002_second") as caught:
        await migrate.migrate(empty_database_url, [FIRST])
    assert "\n" not in str(caught.value)
    assert await ledger(empty) == ["0001_first", "0002_second"]


async def test_migration_edited_after_it_was_applied_is_refused(
    empty_database_url: str, empty: asyncpg.Connection
) -> None:
    await migrate.migrate(empty_database_url, [FIRST])
    edited = Migration(1, "0001_first", FIRST.sql + " ")
    with pytest.raises(MigrationError, match="0001_first was changed after it was applied"):
        await migrate.migrate(empty_database_url, [edited, SECOND])
    assert await ledger(empty) == ["0001_first"]
    assert "second" not in await tables(empty)


async def test_failing_migration_is_rolled_back_and_can_be_mended(
    empty_database_url: str, empty: asyncpg.Connection
) -> None:
    failing = Migration(2, "0002_second", SECOND.sql + " SELECT 1 / 0;")
    with pytest.raises(MigrationError, match=r"0002_second failed and was rolled back: division by zero"):
        await migrate.migrate(empty_database_url, [FIRST, failing])
    assert await tables(empty) == {"first", "schema_migrations"}  # what came before it stays
    assert await ledger(empty) == ["0001_first"]
    assert await empty.fetchval("SELECT count(*) FROM first") == 0

    assert await migrate.migrate(empty_database_url, [FIRST, SECOND]) == ["0002_second"]
    assert await tables(empty) == {"first", "second", "schema_migrations"}


async def test_database_that_is_away_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await migrate.migrate("postgresql://nobody@127.0.0.1:1/nothing")


# --- without a transaction

CONCURRENT = Migration(
    2,
    "0002_index",
    "-- no transaction\n-- serves a test; with a semicolon\nCREATE INDEX CONCURRENTLY first_by_id ON first (id);\n\n"
    "CREATE INDEX CONCURRENTLY first_by_id_again ON first (id DESC);\n",
)


async def test_index_can_be_made_concurrently(empty_database_url: str, empty: asyncpg.Connection) -> None:
    assert await migrate.migrate(empty_database_url, [FIRST, CONCURRENT]) == ["0001_first", "0002_index"]
    indexes = await empty.fetch(
        "SELECT indexrelid::regclass::text AS name, indisvalid FROM pg_index WHERE indrelid = 'first'::regclass"
    )
    assert {tuple(row) for row in indexes} == {("first_by_id", True), ("first_by_id_again", True)}


async def test_failing_statement_without_transaction_can_be_mended(
    empty_database_url: str, empty: asyncpg.Connection
) -> None:
    failing = Migration(2, "0002_index", "-- no transaction\nCREATE INDEX CONCURRENTLY first_by_no ON first (no);")
    with pytest.raises(MigrationError, match="0002_index failed"):
        await migrate.migrate(empty_database_url, [FIRST, failing])
    assert await ledger(empty) == ["0001_first"]
    assert await migrate.migrate(empty_database_url, [FIRST, CONCURRENT]) == ["0002_index"]


@pytest.mark.parametrize("head", ["", "-- no transaction\n"], ids=["in a transaction", "without a transaction"])
async def test_migration_may_take_longer_than_a_request(
    head: str, empty_database_url: str, empty: asyncpg.Connection
) -> None:
    await migrate.migrate(empty_database_url, [FIRST])
    name = await empty.fetchval("SELECT current_database()")
    await empty.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET statement_timeout = '200ms'")
    await empty.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {name} SET idle_in_transaction_session_timeout = '200ms'")
    slow = Migration(2, "0002_slow", f"{head}SELECT pg_sleep(0.6);")
    assert await migrate.migrate(empty_database_url, [FIRST, slow]) == ["0002_slow"]


# --- what holds on every connection afterwards


async def test_bounds_hold_on_every_new_connection(empty_database_url: str) -> None:
    await migrate.migrate(empty_database_url)
    async with admin(empty_database_url) as connection:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "timezone")
        shown = {name: await connection.fetchval(f"SHOW {name}") for name in names}
    assert shown == {
        "statement_timeout": "5s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "10s",
        "timezone": "UTC",
    }


async def test_bounds_are_put_back_by_the_next_start(empty_database_url: str, empty: asyncpg.Connection) -> None:
    await migrate.migrate(empty_database_url)
    name = await empty.fetchval("SELECT current_database()")
    await empty.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {name} RESET ALL")
    await migrate.migrate(empty_database_url)
    async with admin(empty_database_url) as connection:
        assert await connection.fetchval("SHOW statement_timeout") == "5s"


async def test_bounds_do_not_reach_other_databases_of_the_server(empty_database_url: str, server_url: str) -> None:
    async with admin(server_url) as other:
        before = await other.fetchval("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'")
    await migrate.migrate(empty_database_url)
    async with admin(server_url) as other:
        assert await other.fetchval("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'") == before


# --- manners of the schema


async def test_every_constraint_and_index_has_a_name_that_says_its_table(
    connection: asyncpg.Connection,
) -> None:
    rows = await connection.fetch(
        "SELECT conname AS name, conrelid::regclass::text AS table FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f', 'c')"
        " UNION ALL SELECT indexrelid::regclass::text, indrelid::regclass::text FROM pg_index"
        " WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)"
    )
    singular = {
        row["name"] for row in rows if not row["name"].startswith((row["table"], row["table"].removesuffix("s")))
    }
    assert rows
    assert singular == set()


async def test_every_foreign_key_is_served_by_an_index(connection: asyncpg.Connection) -> None:
    """Without one, each deletion of a parent reads the whole of the child."""
    missing = await connection.fetch(
        "SELECT conname FROM pg_constraint AS k WHERE contype = 'f' AND NOT EXISTS ("
        "SELECT FROM pg_index AS i WHERE i.indrelid = k.conrelid AND i.indpred IS NULL"
        " AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] = k.conkey)"
    )
    assert missing == []
