"""Is a wrong encryption key noticed before anything happens, and does a rotation lose nothing, whatever happens meanwhile?"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import asyncpg
import pytest

from app import migrate
from app.database import Database
from app.errors import OperatorError
from app.keys import encryption
from app.keys.encryption import check_keys, require_right_keys, rotate
from app.keys.vault import OPENROUTER_KEY, Vault, key_id, key_id_of
from tests.conftest import SECRET, admin
from tests.processes import PROJECT, running_server
from tests.test_settings import keys_of_one_name

OLD, NEW, OTHER = (bytes(range(start, start + 32)) for start in (20, 60, 120))
START_SECONDS = 30


@pytest.fixture
async def db(database_url: str) -> AsyncGenerator[Database]:
    db = Database(database_url, pool_size=8)
    await db.open()
    yield db
    await db.close()


@pytest.fixture
async def user_id(connection: asyncpg.Connection) -> int:
    return await connection.fetchval(
        "INSERT INTO users (email, email_key, password_hash) VALUES ('a@b.c', 'a@b.c', 'x') RETURNING id"
    )


async def store(
    connection: asyncpg.Connection, user_id: int, vault: Vault, count: int = 1, prefix: str = "sk-or-v1"
) -> dict[int, str]:
    """Rows with a secret each: what is in them by id."""
    rows = await connection.fetch(
        "INSERT INTO openrouter_keys (user_id, name, kind) SELECT $1, 'k' || n, 'inference' FROM generate_series(1, $2) AS n"
        " RETURNING id",
        user_id,
        count,
    )
    secrets = {row["id"]: f"{prefix}-{row['id']:064d}" for row in rows}
    await write(connection, user_id, vault, secrets)
    return secrets


async def write(connection: asyncpg.Connection, user_id: int, vault: Vault, secrets: dict[int, str]) -> None:
    await connection.execute(
        "UPDATE openrouter_keys AS k SET secret = s.secret FROM unnest($1::bigint[], $2::bytea[]) AS s (id, secret)"
        " WHERE k.id = s.id",
        list(secrets),
        [
            vault.encrypt(text, user_id=user_id, row_id=row_id, purpose=OPENROUTER_KEY)
            for row_id, text in secrets.items()
        ],
    )


async def read(connection: asyncpg.Connection, *keys: bytes) -> dict[int, str]:
    """Every secret in the database, with these encryption keys."""
    vault = Vault(keys)
    rows = await connection.fetch("SELECT id, user_id, secret FROM openrouter_keys WHERE secret IS NOT NULL")
    return {
        row["id"]: vault.decrypt(row["secret"], user_id=row["user_id"], row_id=row["id"], purpose=OPENROUTER_KEY)
        for row in rows
    }


async def names_in_use(connection: asyncpg.Connection) -> set[bytes]:
    rows = await connection.fetch("SELECT secret FROM openrouter_keys WHERE secret IS NOT NULL")
    return {key_id_of(row["secret"]) for row in rows}


async def canaries(connection: asyncpg.Connection) -> set[str]:
    return {row["key_id"] for row in await connection.fetch("SELECT key_id FROM encryption_canaries")}


async def everything(connection: asyncpg.Connection) -> dict[str, list[str]]:
    """All rows of all tables with their versions, all columns, and how far sequences are."""
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    queries = {table: f"SELECT t::text, xmin::text FROM {table} AS t" for (table,) in tables}  # noqa: S608 -- our tables
    queries["columns"] = "SELECT attrelid::regclass::text, attname FROM pg_attribute WHERE attnum > 0"
    queries["sequences"] = "SELECT sequencename, last_value FROM pg_sequences"
    return {name: sorted(map(str, await connection.fetch(query))) for name, query in queries.items()}


def name_of(key: bytes) -> str:
    return key_id(key).hex()


def environment(url: str, *keys: bytes) -> dict[str, str]:
    return {
        **os.environ,
        "DATABASE_URL": url,
        "JWT_SECRETS": base64.b64encode(SECRET).decode(),
        "ENCRYPTION_KEYS": text_of(*keys),
        "PORT": "1",  # where a start that should have been refused would fail
    }


def text_of(*keys: bytes) -> str:
    return ",".join(base64.urlsafe_b64encode(key).decode() for key in keys)


async def command(url: str, keys: Sequence[bytes], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", *arguments,
        cwd=PROJECT, env=environment(url, *keys), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(START_SECONDS):
        out, err = await process.communicate()
    assert process.returncode is not None
    assert not any(key.hex() in f"{out!r}{err!r}" or text_of(key).rstrip("=") in f"{out!r}{err!r}" for key in keys)
    assert b"Traceback" not in err
    return process.returncode, out.decode(), err.decode()


# --- at start


async def test_first_start_notes_its_key_and_the_next_finds_it(db: Database, connection: asyncpg.Connection) -> None:
    await require_right_keys(db, Vault([OLD]))
    first = await everything(connection)
    assert await canaries(connection) == {name_of(OLD)}
    await require_right_keys(db, Vault([OLD]))
    assert await everything(connection) == first


async def test_start_with_another_key_is_refused_even_while_nothing_is_stored(
    db: Database, connection: asyncpg.Connection
) -> None:
    await require_right_keys(db, Vault([OLD]))
    before = await everything(connection)
    for keys in ([NEW], [NEW, OTHER]):
        with pytest.raises(OperatorError) as caught:
            await require_right_keys(db, Vault(keys))
        assert f"lacks what this database is used with: {name_of(OLD)} (0 stored" in str(caught.value)
        assert name_of(NEW) in str(caught.value)
    assert await everything(connection) == before


async def test_start_is_refused_for_secrets_whose_canary_is_gone(
    db: Database, connection: asyncpg.Connection, user_id: int
) -> None:
    await store(connection, user_id, Vault([OLD]), 3)
    with pytest.raises(OperatorError, match=rf"{name_of(OLD)} \(3 stored OpenRouter keys\)"):
        await require_right_keys(db, Vault([NEW]))
    assert await canaries(connection) == set()


async def test_start_names_every_key_that_is_missing(
    db: Database, connection: asyncpg.Connection, user_id: int
) -> None:
    await store(connection, user_id, Vault([OLD]), 2)
    await store(connection, user_id, Vault([OTHER]))
    with pytest.raises(OperatorError) as caught:
        await check_keys(db, Vault([NEW]))
    assert f"{name_of(OLD)} (2 stored" in str(caught.value)
    assert f"{name_of(OTHER)} (1 stored" in str(caught.value)


async def test_start_with_the_old_key_behind_a_new_one_is_accepted(
    db: Database, connection: asyncpg.Connection, user_id: int
) -> None:
    await require_right_keys(db, Vault([OLD]))
    await store(connection, user_id, Vault([OLD]))
    await require_right_keys(db, Vault([NEW, OLD]))
    assert await canaries(connection) == {name_of(OLD), name_of(NEW)}
    with pytest.raises(OperatorError, match=name_of(NEW)):  # there may be secrets under it in a moment
        await require_right_keys(db, Vault([OLD]))


async def test_key_that_only_has_the_name_of_the_right_one_is_refused(
    db: Database, connection: asyncpg.Connection
) -> None:
    right, wrong = keys_of_one_name()
    await require_right_keys(db, Vault([right]))
    before = await everything(connection)
    for refused in (
        require_right_keys(db, Vault([wrong])),
        rotate(db, Vault([wrong])),
        rotate(db, Vault([NEW, wrong])),
    ):
        with pytest.raises(OperatorError, match=f"{name_of(right)} does not decrypt"):
            await refused
    assert await everything(connection) == before


async def test_of_first_starts_at_once_with_different_keys_exactly_one_key_wins(
    db: Database, connection: asyncpg.Connection
) -> None:
    for _ in range(10):
        keys = [OLD, NEW] * 4
        found = await asyncio.gather(*(require_right_keys(db, Vault([key])) for key in keys), return_exceptions=True)
        (winner,) = await canaries(connection)
        for key, result in zip(keys, found, strict=True):
            assert (result is None) == (name_of(key) == winner)
            assert result is None or isinstance(result, OperatorError)
        await connection.execute("DELETE FROM encryption_canaries")


async def test_check_says_nothing_of_a_database_without_tables(empty_database_url: str) -> None:
    async with admin(empty_database_url) as connection:
        await check_keys(connection, Vault([NEW]))
        assert (await everything(connection)).keys() == {"columns", "sequences"}  # no table was made


# --- at start, for real


@pytest.mark.parametrize("age", ["up to date", "before the next migration"])
async def test_wrong_key_is_refused_before_anything_is_written(empty_database_url: str, age: str) -> None:
    known = migrate.read_migrations()
    await migrate.migrate(empty_database_url, known if age == "up to date" else known[:4])
    async with admin(empty_database_url) as connection:
        await require_right_keys(connection, Vault([OLD]))
        before = await everything(connection)
        code, out, err = await command(empty_database_url, [NEW], "run")
        assert (code, out) == (1, "")
        assert err.strip() == (
            f"ENCRYPTION_KEYS lacks what this database is used with: {name_of(OLD)} (0 stored OpenRouter keys). "
            f"It has {name_of(NEW)}. A name is the first 8 hex digits of the key's SHA-256."
        )
        assert await everything(connection) == before


async def test_short_key_is_refused_before_anything_is_written(empty_database_url: str) -> None:
    async with admin(empty_database_url) as connection:
        before = await everything(connection)
        for arguments in (["run"], ["rotate-keys"]):
            code, out, err = await command(empty_database_url, [NEW[:31]], *arguments)
            assert (code, out) == (1, "")
            assert err.strip() == "ENCRYPTION_KEYS must be base64 of exactly 32 random bytes each"
        assert await everything(connection) == before


async def test_after_a_rotation_the_new_key_alone_starts_and_the_old_one_alone_is_refused(
    database_url: str, connection: asyncpg.Connection, user_id: int, tmp_path: Path
) -> None:
    await require_right_keys(connection, Vault([OLD]))
    secrets = await store(connection, user_id, Vault([OLD]), 3)
    code, out, err = await command(database_url, [NEW, OLD], "rotate-keys")
    assert (code, err) == (0, "")
    assert out == f"3 OpenRouter keys re-encrypted; all are under the encryption key {name_of(NEW)} now\n"
    assert await canaries(connection) == {name_of(NEW)}
    assert await read(connection, NEW) == secrets

    async with running_server(database_url, tmp_path / "log", ENCRYPTION_KEYS=text_of(NEW)):
        code, _, err = await command(database_url, [OLD], "run")
    assert code == 1
    assert f"lacks what this database is used with: {name_of(NEW)} (3 stored OpenRouter keys)" in err

    code, out, _ = await command(database_url, [NEW], "rotate-keys")
    assert (code, out.split()[0]) == (0, "0")


# --- rotation


async def test_rotation_goes_in_batches_and_tells_of_them(
    db: Database, connection: asyncpg.Connection, user_id: int
) -> None:
    secrets = await store(connection, user_id, Vault([OLD]), 250)
    current = await store(connection, user_id, Vault([NEW]), 5)
    untouched = await connection.fetch("SELECT id, secret FROM openrouter_keys WHERE id = ANY ($1)", list(current))
    told: list[int] = []
    assert await rotate(db, Vault([NEW, OLD, OTHER]), told.append) == 250
    assert told == [100, 100, 50]
    assert await read(connection, NEW) == secrets | current
    assert untouched == await connection.fetch(
        "SELECT id, secret FROM openrouter_keys WHERE id = ANY ($1)", list(current)
    )
    assert await rotate(db, Vault([NEW, OLD])) == 0


async def test_rotation_gathers_what_is_under_several_keys(
    db: Database, connection: asyncpg.Connection, user_id: int
) -> None:
    secrets = await store(connection, user_id, Vault([OLD]), 2) | await store(connection, user_id, Vault([OTHER]), 2)
    assert await rotate(db, Vault([NEW, OTHER, OLD])) == 4
    assert await read(connection, NEW) == secrets


async def test_rotation_leaves_deleted_keys_alone_and_takes_deleted_accounts_along(
    db: Database, connection: asyncpg.Connection, user_id: int
) -> None:
    secrets = await store(connection, user_id, Vault([OLD]), 2)
    erased = secrets.popitem()[0]
    await connection.execute("UPDATE openrouter_keys SET secret = NULL WHERE id = $1", erased)
    await connection.execute("UPDATE users SET deleted_at = now(), email_key = NULL")
    assert await rotate(db, Vault([NEW, OLD])) == 1
    assert await read(connection, NEW) == secrets


async def test_start_without_the_new_key_is_refused_from_the_moment_a_rotation_begins(
    db: Database, connection: asyncpg.Connection, user_id: int
) -> None:
    await require_right_keys(db, Vault([OLD]))
    await store(connection, user_id, Vault([OLD]), 150)
    refused: list[bool] = []

    class Stopped(Exception):
        pass

    def stop(_: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        await rotate(db, Vault([NEW, OLD]), stop)
    for key in (OLD, NEW):
        try:
            await require_right_keys(db, Vault([key]))
        except OperatorError:
            refused.append(True)
    assert refused == [True, True]
    await require_right_keys(db, Vault([NEW, OLD]))


async def test_rotation_can_be_taken_back(db: Database, connection: asyncpg.Connection, user_id: int) -> None:
    secrets = await store(connection, user_id, Vault([OLD]), 2)
    await rotate(db, Vault([NEW, OLD]))
    await rotate(db, Vault([OLD, NEW]))
    assert await canaries(connection) == {name_of(OLD)}
    assert await read(connection, OLD) == secrets


async def test_key_that_nothing_is_under_is_forgotten_without_having_it(
    db: Database, connection: asyncpg.Connection, user_id: int
) -> None:
    """Somebody started once with a key that is lost now: there must be a way back."""
    await require_right_keys(db, Vault([OLD]))
    await store(connection, user_id, Vault([OLD]))
    await require_right_keys(db, Vault([OTHER, OLD]))
    assert await rotate(db, Vault([OLD])) == 0
    await require_right_keys(db, Vault([OLD]))


async def test_what_cannot_be_decrypted_is_named_after_everything_else_was_done(
    database_url: str, connection: asyncpg.Connection, user_id: int
) -> None:
    await require_right_keys(connection, Vault([OLD]))
    secrets = await store(connection, user_id, Vault([OLD]), 120)
    first, second, *_ = secrets
    await connection.execute(
        "UPDATE openrouter_keys AS k SET secret = o.secret FROM openrouter_keys AS o"
        " WHERE (k.id, o.id) IN (($1::bigint, $2::bigint), ($2, $1))",
        first,
        second,
    )
    (lost,) = await store(connection, user_id, Vault([OTHER]))
    kept = await connection.fetch("SELECT id, secret FROM openrouter_keys WHERE id = ANY ($1)", [first, second, lost])

    code, out, err = await command(database_url, [NEW, OLD], "rotate-keys")
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "118 OpenRouter keys were re-encrypted; 3 cannot be decrypted:",
        f"openrouter_keys.id {first}: The record was changed, or belongs elsewhere.",
        f"openrouter_keys.id {second}: The record was changed, or belongs elsewhere.",
        f"openrouter_keys.id {lost}: The encryption key {name_of(OTHER)} is not among ENCRYPTION_KEYS.",
    ]
    assert kept == await connection.fetch(
        "SELECT id, secret FROM openrouter_keys WHERE id = ANY ($1)", [first, second, lost]
    )
    assert await canaries(connection) == {name_of(OLD), name_of(NEW)}, "the old key is still needed"
    await connection.execute("DELETE FROM openrouter_keys WHERE id = ANY ($1)", [first, second, lost])
    assert (await command(database_url, [NEW, OLD], "rotate-keys"))[0] == 0
    assert await canaries(connection) == {name_of(NEW)}
    del secrets[first], secrets[second]
    assert await read(connection, NEW) == secrets


async def test_very_many_undecryptable_rows_are_not_all_named(
    db: Database, connection: asyncpg.Connection, user_id: int
) -> None:
    await store(connection, user_id, Vault([OTHER]), 130)
    with pytest.raises(OperatorError) as caught:
        await rotate(db, Vault([NEW]))
    assert len(str(caught.value).splitlines()) == 22
    assert str(caught.value).endswith("and 110 more")


# --- rotation among others


async def test_rotation_waits_for_nobody_and_comes_back_for_what_was_held(
    db: Database, connection: asyncpg.Connection, user_id: int
) -> None:
    secrets = await store(connection, user_id, Vault([OLD]), 120)
    held = list(secrets)[50]
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        async with connection.transaction():
            await connection.execute("SELECT FROM openrouter_keys WHERE id = $1 FOR UPDATE", held)
            rotating = group.create_task(rotate(db, Vault([NEW, OLD])))
            async with db.connection() as other:
                while await count(other, OLD) > 1:  # noqa: ASYNC110 -- an event in the database
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            assert not rotating.done()
            secrets[held] = "sk-or-v1-replaced meanwhile"
            await write(connection, user_id, Vault([OLD]), {held: secrets[held]})
        assert await rotating == 120
    assert await read(connection, NEW) == secrets


async def test_rotation_gives_up_on_what_is_held_for_ever(
    db: Database, connection: asyncpg.Connection, user_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encryption, "ROUND_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(encryption, "ROUNDS_MAX", 10)
    await require_right_keys(connection, Vault([OLD]))
    secrets = await store(connection, user_id, Vault([OLD]), 3)
    async with connection.transaction():
        await connection.execute("SELECT FROM openrouter_keys WHERE id = $1 FOR UPDATE", next(iter(secrets)))
        with pytest.raises(OperatorError, match="2 OpenRouter keys were re-encrypted, but 1 are still under another"):
            await rotate(db, Vault([NEW, OLD]))
    assert await canaries(connection) == {name_of(OLD), name_of(NEW)}
    assert await read(connection, NEW, OLD) == secrets


async def test_secrets_that_change_during_a_rotation_are_neither_lost_nor_brought_back(
    db: Database, connection: asyncpg.Connection, user_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others add, replace and erase all the time; some of them have not been restarted and still encrypt under the old key."""
    monkeypatch.setattr(encryption, "BATCH", 20)
    monkeypatch.setattr(encryption, "ROUND_PAUSE_SECONDS", 0.01)
    expected = await store(connection, user_id, Vault([OLD]), 400)
    ids = list(expected)
    stopped: set[int] = set()

    async def change(number: int, vault: Vault) -> None:
        chance = random.Random(number)  # noqa: S311 -- no secret
        mine = ids[number::4]  # so that it is known what to expect
        while number not in stopped:
            async with db.transaction() as other:
                act = chance.choice(["add", "replace", "replace", "erase", "replace several"])
                if act == "add":
                    added = await store(other, user_id, vault)
                    expected.update(added)
                    mine.extend(added)
                elif act == "erase":
                    row_id = chance.choice(mine)
                    await other.execute("UPDATE openrouter_keys SET secret = NULL WHERE id = $1", row_id)
                    expected.pop(row_id, None)
                else:
                    # backwards, against the rotation: if that waited while it holds rows, there would be deadlocks
                    for row_id in sorted(chance.sample(mine, 5 if act == "replace several" else 1), reverse=True):
                        expected[row_id] = f"sk-or-v1-{chance.getrandbits(256):064x}"
                        await write(other, user_id, vault, {row_id: expected[row_id]})

    # the group ends all when one fails
    async with asyncio.timeout(30), asyncio.TaskGroup() as others:
        current = [others.create_task(change(number, Vault([NEW, OLD]))) for number in range(3)]
        outdated = others.create_task(change(3, Vault([OLD, NEW])))
        rotating = others.create_task(rotate(db, Vault([NEW, OLD])))
        await asyncio.sleep(0.5)
        stopped.add(3)
        await outdated
        assert await rotating > 0

        await rotate(db, Vault([NEW, OLD]))
        assert await names_in_use(connection) == {key_id(NEW)}
        assert not any(task.done() for task in current), "it must come to an end while others write"
        stopped |= {0, 1, 2}
    assert await read(connection, NEW) == expected


async def test_rotation_killed_at_any_moment_goes_on_where_it_was(
    database_url: str, connection: asyncpg.Connection, user_id: int
) -> None:
    await require_right_keys(connection, Vault([OLD]))
    secrets = await store(connection, user_id, Vault([OLD]), 4000)
    chance = random.Random()  # noqa: S311 -- no secret
    async with admin(database_url) as holder:
        # while this row is held no rotation ends, so each kill meets one at work
        await holder.execute("SET idle_in_transaction_session_timeout = 0")  # on a busy machine it takes that long
        held = holder.transaction()
        await held.start()
        await holder.execute("SELECT FROM openrouter_keys WHERE id = $1 FOR UPDATE", max(secrets))
        moved = 0
        for _ in range(4):
            moved = chance.randint(moved + 1, min(moved + 1300, 3999))
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "app", "rotate-keys", cwd=PROJECT, env=environment(database_url, NEW, OLD)
            )
            async with asyncio.timeout(START_SECONDS):
                while (now_moved := await count(connection, NEW)) < moved:
                    assert process.returncode is None
                    await asyncio.sleep(chance.random() / 100)
                process.send_signal(signal.SIGKILL)
                assert await process.wait() == -signal.SIGKILL
            moved = max(moved, min(now_moved, 3998))
            assert await read(connection, NEW, OLD) == secrets
            with pytest.raises(OperatorError):
                await check_keys(connection, Vault([NEW]))
        await held.rollback()
    code, out, err = await command(database_url, [NEW, OLD], "rotate-keys")
    assert (code, err) == (0, "")
    assert out.endswith(f"all are under the encryption key {name_of(NEW)} now\n")
    assert await count(connection, NEW) == 4000
    assert await read(connection, NEW) == secrets
    await check_keys(connection, Vault([NEW]))


async def count(connection: asyncpg.Connection, key: bytes) -> int:
    return await connection.fetchval(
        "SELECT count(*) FROM openrouter_keys WHERE substr(secret, 2, 4) = $1", key_id(key)
    )


# --- what the database itself refuses


@pytest.mark.parametrize("text", [b"", b"\x01" * 32, b"\x00" * 100, b"sk-or-v1-" + b"0" * 64, b"\x01" * 1025], ids=len)
async def test_what_is_no_record_cannot_be_stored(connection: asyncpg.Connection, user_id: int, text: bytes) -> None:
    (row_id,) = await store(connection, user_id, Vault([NEW]))
    with pytest.raises(asyncpg.CheckViolationError, match="openrouter_keys_secret_is_record"):
        await connection.execute("UPDATE openrouter_keys SET secret = $2 WHERE id = $1", row_id, text)


async def test_longest_key_that_is_accepted_can_be_stored(connection: asyncpg.Connection, user_id: int) -> None:
    (row_id,) = await store(connection, user_id, Vault([NEW]))
    await write(connection, user_id, Vault([NEW]), {row_id: "~" * 300})  # app/usage/openrouter.py takes no longer one
    assert await read(connection, NEW) == {row_id: "~" * 300}
