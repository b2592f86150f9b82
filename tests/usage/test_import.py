"""Does `POST /api/imports/activity` book an export exactly, once, and for the right user and key?"""

from __future__ import annotations

import asyncio
import csv
import io
import random
from collections.abc import AsyncGenerator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from app import scheduler
from app.database import Database
from app.errors import NotFound
from app.keys import repository as keys
from app.settings import Settings
from app.usage.imports import BATCH_ROWS
from tests.accounts.bodies import assert_problem, assert_unauthenticated
from tests.cast import PASSWORD, Person, bearer
from tests.conftest import running_app
from tests.processes import running_server
from tests.usage.exports import ACTIVITY, CSV, IMPORT, exact, export, imports, send

LINES = ACTIVITY.decode().splitlines()
TABLES = ("generations", "usage_facts", "usage_rollups", "usage_versions", "openrouter_keys")
# The export's own figures, as they were read from it by hand.
REPORT = {
    "rows": 159,
    "imported": 159,
    "duplicates": 0,
    "rejected_rows": 0,
    "rejected": [],
    "first_day": "2026-08-18",
    "last_day": "2026-08-24",
    "timezone": "UTC",
    "total_cost": Decimal("1.071850"),
}
TOTALS = (159, Decimal("1.071850"), 17_386_716, 51_209, 14_884, 14_216_867)

SUMS = "sum(cost), sum(tokens_input), sum(tokens_output), sum(tokens_reasoning), sum(tokens_cached)"
MEASURES = ("requests", "cost", "byok_cost", "tokens_input", "tokens_output", "tokens_reasoning", "tokens_cached")

# Every roll-up as it should be, summed from the facts by other means than the service's own statement.
ROLLUPS_FROM_FACTS = f"""
    SELECT k.key_id, m.model_id, f.day, f.user_id, count(*) AS facts,
        {", ".join(f"sum(f.{name}) AS {name}, count(f.{name}) AS {name}_known" for name in MEASURES)}
    FROM usage_facts AS f
    CROSS JOIN LATERAL (VALUES (f.key_id), (-1)) AS k (key_id)
    CROSS JOIN LATERAL (VALUES (f.model_id), (-1)) AS m (model_id)
    GROUP BY k.key_id, m.model_id, f.day, f.user_id
"""  # noqa: S608 -- names from above
ROLLUPS = f"""
    SELECT key_id, model_id, day, user_id, facts, {", ".join(f"{name}, {name}_known" for name in MEASURES)}
    FROM usage_rollups
"""  # noqa: S608 -- names from above
FACTS_FROM_GENERATIONS = f"""
    SELECT user_id, key_id, (created_at AT TIME ZONE 'UTC')::date AS day, model_id, provider_id, count(*) AS requests,
        {", ".join(f"sum({name}) AS {name}" for name in MEASURES[1:])}
    FROM generations
    GROUP BY user_id, key_id, day, model_id, provider_id
"""  # noqa: S608 -- names from above
FACTS = f"SELECT user_id, key_id, day, model_id, provider_id, {', '.join(MEASURES)} FROM usage_facts"  # noqa: S608


async def assert_consistent(connection: asyncpg.Connection) -> None:
    """Facts are the sums of the generations, roll-ups those of the facts, for every combination and nothing beside."""
    for expected, actual in ((FACTS_FROM_GENERATIONS, FACTS), (ROLLUPS_FROM_FACTS, ROLLUPS)):
        for left, right in ((expected, actual), (actual, expected)):
            assert await connection.fetch(f"({left}) EXCEPT ({right})") == []


async def totals(connection: asyncpg.Connection, user_id: int) -> dict[str, tuple[Any, ...]]:
    """What each table makes of a user's usage."""
    found = {}
    for table, count, where in (
        ("generations", "count(*)", ""),
        ("usage_facts", "sum(requests)", ""),
        ("usage_rollups", "sum(requests)", "AND key_id = -1 AND model_id = -1"),
        ("usage_rollups", "sum(requests)", "AND key_id <> -1 AND model_id <> -1"),
    ):
        query = f"SELECT {count}, {SUMS} FROM {table} WHERE user_id = $1 {where}"  # noqa: S608 -- from above
        found[table + where] = tuple(await connection.fetchrow(query, user_id))
    return found


async def assert_exactly_the_export(connection: asyncpg.Connection, user_id: int) -> None:
    """Every table, to the last digit."""
    for table, found in (await totals(connection, user_id)).items():
        assert found == TOTALS, table
    await assert_consistent(connection)


async def stored(connection: asyncpg.Connection, *columns: str) -> list[tuple[Any, ...]]:
    """Generations in the order of their ids, with the names that ids stand for."""
    rows = await connection.fetch(
        f"""
        SELECT {", ".join(columns)}
        FROM generations AS g
        INNER JOIN models AS m ON m.id = g.model_id
        INNER JOIN providers AS p ON p.id = g.provider_id
        INNER JOIN openrouter_keys AS k ON k.id = g.key_id
        ORDER BY g.generation_id
        """  # noqa: S608 -- from the tests
    )
    return [tuple(row) for row in rows]


async def add_key(connection: asyncpg.Connection, user_id: int, name: str, kind: str = "inference") -> int:
    """A key that was added by other means than an import."""
    return await connection.fetchval(
        "INSERT INTO openrouter_keys (user_id, name, kind) VALUES ($1, $2, $3) RETURNING id", user_id, name, kind
    )


async def version(connection: asyncpg.Connection, user_id: int) -> int:
    """Of a user's usage."""
    return await connection.fetchval("SELECT version FROM usage_versions WHERE user_id = $1", user_id) or 0


# --- the real export


async def test_real_export_gives_exactly_its_figures(alice: Person, connection: asyncpg.Connection) -> None:
    assert await imports(alice, ACTIVITY) == REPORT
    await assert_exactly_the_export(connection, alice.id)
    day = await connection.fetchrow(
        """
        SELECT requests, cost FROM usage_rollups
        WHERE user_id = $1 AND key_id = -1 AND model_id = -1 AND day = '2026-08-20'
        """,
        alice.id,
    )
    assert tuple(day) == (43, Decimal("0.415439"))


async def test_money_is_a_json_number_with_exact_digits(alice: Person) -> None:
    answer = await send(alice, ACTIVITY)
    assert b'"total_cost":1.071850' in answer.content


async def test_real_export_as_a_form_gives_the_same(alice: Person, connection: asyncpg.Connection) -> None:
    answer = await alice.post(IMPORT, files={"file": ("activity.csv", ACTIVITY, "text/csv")}, data={"note": "x"})
    assert answer.status_code == 200, answer.text
    assert exact(answer) == REPORT
    await assert_exactly_the_export(connection, alice.id)


async def test_importing_twice_gives_the_same(alice: Person, connection: asyncpg.Connection) -> None:
    await imports(alice, ACTIVITY)
    before = await connection.fetch(f"{FACTS} ORDER BY 1, 2, 3, 4, 5")
    assert await imports(alice, ACTIVITY) == REPORT | {
        "imported": 0, "duplicates": 159, "first_day": None, "last_day": None, "total_cost": 0,
    }  # fmt: skip
    assert await connection.fetch(f"{FACTS} ORDER BY 1, 2, 3, 4, 5") == before
    await assert_exactly_the_export(connection, alice.id)


async def test_overlapping_halves_give_the_whole(alice: Person, connection: asyncpg.Connection) -> None:
    header, rows = LINES[0], LINES[1:]
    newer = await imports(alice, "\n".join([header, *rows[:90]]))
    older = await imports(alice, "\n".join([header, *rows[70:]]))
    assert (newer["imported"], newer["duplicates"]) == (90, 0)
    assert (older["imported"], older["duplicates"]) == (69, 20)
    assert newer["total_cost"] + older["total_cost"] == Decimal("1.071850")
    await assert_exactly_the_export(connection, alice.id)


async def test_order_of_columns_and_rows_makes_no_difference(alice: Person, connection: asyncpg.Connection) -> None:
    columns = [*zip(*csv.reader(LINES), strict=True)]
    random.Random(7).shuffle(columns)  # noqa: S311 -- no secret
    header, *rows = zip(*columns, strict=True)
    random.Random(8).shuffle(rows)  # noqa: S311 -- no secret
    text = io.StringIO()
    csv.writer(text).writerows([header, *rows])
    assert await imports(alice, text.getvalue().encode()) == REPORT
    await assert_exactly_the_export(connection, alice.id)


async def test_every_generation_is_stored_as_it_was_exported(alice: Person, connection: asyncpg.Connection) -> None:
    await imports(alice, ACTIVITY)
    expected = sorted(
        (
            row["generation_id"],
            row["created_at"],
            Decimal(row["cost_total"]),
            row["model_permaslug"],
            row["provider_name"],
            row["api_key_name"],
            int(row["tokens_prompt"]),
        )
        for row in csv.DictReader(LINES)
    )
    assert expected == await stored(
        connection,
        "generation_id",
        "to_char(g.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')",
        "cost",
        "slug",
        "p.name",
        "k.name",
        "tokens_input",
    )


async def test_two_people_import_the_same_file_without_touching_each_other(
    alice: Person, bob: Person, connection: asyncpg.Connection
) -> None:
    assert await imports(alice, ACTIVITY) == REPORT
    assert await imports(bob, ACTIVITY) == REPORT
    for person in (alice, bob):
        await assert_exactly_the_export(connection, person.id)


async def test_people_importing_the_same_new_models_at_once_each_get_all(
    settings: Settings, alice: Person, bob: Person, connection: asyncpg.Connection
) -> None:
    async with running_app(settings) as elsewhere:
        bob.client = elsewhere
        reports = await asyncio.gather(imports(alice, ACTIVITY), imports(bob, ACTIVITY))
    assert reports == [REPORT, REPORT]
    for person in (alice, bob):
        await assert_exactly_the_export(connection, person.id)


async def test_one_file_imported_many_times_at_once_counts_once(
    settings: Settings, alice: Person, connection: asyncpg.Connection
) -> None:
    async with running_app(settings) as elsewhere:
        there = Person(elsewhere, alice.email, alice.id, alice.tokens)
        reports = await asyncio.gather(*(imports(person, ACTIVITY) for _ in range(3) for person in (alice, there)))
    assert sorted(report["imported"] for report in reports) == [0] * 5 + [159]
    assert sum(report["total_cost"] for report in reports) == Decimal("1.071850")
    assert [report["imported"] + report["duplicates"] for report in reports] == [159] * 6
    await assert_exactly_the_export(connection, alice.id)


async def test_overlapping_files_imported_at_once_give_the_whole(alice: Person, connection: asyncpg.Connection) -> None:
    header, rows = LINES[0], LINES[1:]
    parts = [rows[start : start + 80] for start in range(0, 159, 20)]
    reports = await asyncio.gather(*(imports(alice, "\n".join([header, *part])) for part in parts))
    assert sum(report["imported"] for report in reports) == 159
    await assert_exactly_the_export(connection, alice.id)


# --- what counts


async def test_generation_counts_once_and_the_first_one_wins(alice: Person, connection: asyncpg.Connection) -> None:
    first = {"generation_id": "gen-1", "cost_total": "0.25", "model_permaslug": "first"}
    again = first | {"cost_total": "5", "model_permaslug": "second", "created_at": "2026-08-21 00:00:00"}
    report = await imports(alice, export(first, again, again))
    assert (report["imported"], report["duplicates"], report["total_cost"]) == (1, 2, Decimal("0.25"))
    assert (report["first_day"], report["last_day"]) == ("2026-08-20", "2026-08-20")
    report = await imports(alice, export(again))
    assert (report["imported"], report["duplicates"], report["total_cost"]) == (0, 1, 0)
    assert await stored(connection, "cost", "slug") == [(Decimal("0.25"), "first")]
    await assert_consistent(connection)


async def test_days_end_at_midnight_utc_wherever_the_database_lives(
    settings: Settings, alice: Person, connection: asyncpg.Connection
) -> None:
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    await connection.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {database} SET timezone = 'Pacific/Kiritimati'")
    times = ("2026-08-19 23:59:59.999999", "2026-08-20 00:00:00", "2026-08-20 23:59:59.999", "2026-08-21 00:00:00.000")
    async with running_app(settings) as elsewhere:  # its connections live by that time
        there = Person(elsewhere, alice.email, alice.id, alice.tokens)
        rows = [{"generation_id": f"gen-{number}", "created_at": time} for number, time in enumerate(times)]
        report = await imports(there, export(*rows))
    assert (report["first_day"], report["last_day"]) == ("2026-08-19", "2026-08-21")
    days = await connection.fetch("SELECT day::text, requests FROM usage_facts ORDER BY day")
    assert [tuple(day) for day in days] == [("2026-08-19", 1), ("2026-08-20", 2), ("2026-08-21", 1)]


async def test_many_small_amounts_add_up_exactly(alice: Person, connection: asyncpg.Connection) -> None:
    rows = [{"generation_id": f"gen-{number}", "cost_total": "0.000001"} for number in range(1000)]
    answer = await send(alice, export(*rows))
    assert b'"total_cost":0.001000' in answer.content
    assert await connection.fetchval("SELECT cost FROM usage_facts") == Decimal("0.001")
    await assert_consistent(connection)


async def test_large_and_small_amounts_lose_no_digit(alice: Person, connection: asyncpg.Connection) -> None:
    amounts = ["999999999.99", "0.00000000000000000001", "1e-7"]
    report = await imports(
        alice, export(*({"generation_id": f"gen-{amount}", "cost_total": amount} for amount in amounts))
    )
    assert report["total_cost"] == Decimal("999999999.99000010000000000001")
    assert await connection.fetchval("SELECT cost FROM usage_facts") == report["total_cost"]


async def test_what_an_export_does_not_know_is_null_and_not_zero(alice: Person, connection: asyncpg.Connection) -> None:
    await imports(alice, export({"generation_id": "gen-1"}))
    measures = "byok_cost, tokens_input, tokens_output, tokens_reasoning, tokens_cached"
    for table in ("generations", "usage_facts"):
        assert tuple(await connection.fetchrow(f"SELECT {measures} FROM {table}")) == (None,) * 5  # noqa: S608
    assert await stored(connection, "p.id", "k.id") == [(0, 0)]
    # what is learnt later is added to what was not known
    await imports(alice, export({"generation_id": "gen-2", "tokens_prompt": 7}))
    await imports(alice, export({"generation_id": "gen-3", "tokens_prompt": 0, "byok_usage_inference": "0.5"}))
    await imports(alice, export({"generation_id": "gen-4"}))
    row = await connection.fetchrow(f"SELECT {measures}, requests FROM usage_facts")  # noqa: S608
    assert tuple(row) == (Decimal("0.5"), 7, None, None, None, 4)
    await assert_consistent(connection)


async def test_usage_version_moves_with_every_import(
    alice: Person, bob: Person, connection: asyncpg.Connection
) -> None:
    assert await version(connection, alice.id) == 0
    await imports(alice, export({"generation_id": "gen-1"}))
    first = await version(connection, alice.id)
    assert first > 0
    await imports(alice, export({"generation_id": "gen-2"}))
    assert await version(connection, alice.id) > first
    assert await version(connection, bob.id) == 0


# --- lines that cannot be read


async def test_lines_that_cannot_be_read_are_reported_and_stop_nothing(
    alice: Person, connection: asyncpg.Connection
) -> None:
    lines = LINES.copy()
    lines[10] = lines[10].replace("2026-08", "2026-18")
    lines[20] = '"' + lines[20]
    lines[30] = lines[30].partition(",")[2]
    lines[40] = lines[40].replace("gen-", "gen-\x00")
    lost = sum(Decimal(row["cost_total"]) for n, row in enumerate(csv.DictReader(LINES), 1) if n in {10, 20, 30, 40})
    report = await imports(alice, "\r\n".join(lines).encode())
    assert (report["rows"], report["imported"], report["rejected_rows"]) == (159, 155, 4)
    assert [entry["line"] for entry in report["rejected"]] == [11, 21, 31, 41]
    reasons = [entry["reason"] for entry in report["rejected"]]
    for word, reason in zip(("created_at", "quote", "columns", "generation_id"), reasons, strict=True):
        assert word in reason
    assert report["total_cost"] == Decimal("1.071850") - lost
    await assert_consistent(connection)
    # mended and imported again, it is whole
    assert (await imports(alice, ACTIVITY))["imported"] == 4
    await assert_exactly_the_export(connection, alice.id)


async def test_hundred_rejections_are_listed_and_all_are_counted(alice: Person) -> None:
    rows = [{"generation_id": f"gen-{number}", "cost_total": "x" if number % 2 else "1"} for number in range(500)]
    report = await imports(alice, export(*rows))
    assert (report["rows"], report["imported"], report["rejected_rows"]) == (500, 250, 250)
    assert [entry["line"] for entry in report["rejected"]] == [*range(3, 203, 2)]


async def test_file_without_a_good_line_changes_nothing(alice: Person, connection: asyncpg.Connection) -> None:
    report = await imports(alice, export({"generation_id": ""}))
    assert (report["rows"], report["imported"], report["rejected_rows"], report["total_cost"]) == (1, 0, 1, 0)
    assert await connection.fetchval("SELECT count(*) FROM usage_facts") == 0


async def test_old_exports_with_few_columns_are_read(alice: Person, connection: asyncpg.Connection) -> None:
    columns = ("generation_id", "created_at", "cost_total", "tokens_prompt", "tokens_completion", "model_permaslug")
    report = await imports(
        alice, export({"generation_id": "g", "tokens_prompt": 3, "tokens_completion": 4}, columns=columns)
    )
    assert report["imported"] == 1
    assert await stored(connection, "tokens_input", "tokens_output", "tokens_cached", "k.id") == [(3, 4, None, 0)]


# --- which key


async def test_given_key_takes_everything(alice: Person, connection: asyncpg.Connection) -> None:
    key = await add_key(connection, alice.id, "mine")
    await add_key(connection, alice.id, "sample-agent-key")
    assert (await imports(alice, ACTIVITY, f"?api_key_id={key}"))["imported"] == 159
    assert set(await stored(connection, "k.id")) == {(key,)}
    assert await connection.fetchval("SELECT count(*) FROM openrouter_keys WHERE kind = 'imported'") == 0
    await assert_exactly_the_export(connection, alice.id)


async def test_key_of_somebody_else_is_forbidden(alice: Person, bob: Person, connection: asyncpg.Connection) -> None:
    key = await add_key(connection, alice.id, "alice's")
    assert_problem(await send(bob, ACTIVITY, f"?api_key_id={key}"), 403, "not_yours")
    assert await connection.fetchval("SELECT count(*) FROM generations") == 0


async def test_key_that_does_not_exist_is_not_found(alice: Person, connection: asyncpg.Connection) -> None:
    for key in ("999999", str(2**63 - 1)):
        assert_problem(await send(alice, ACTIVITY, f"?api_key_id={key}"), 404, "not_found")
    assert await connection.fetchval("SELECT count(*) FROM generations") == 0


async def test_what_is_no_key_id_is_invalid(alice: Person) -> None:
    for key in ("0", "-1", "01", "+1", "1.0", "1e3", "x", "", "%00", "%D9%A1", str(2**63), "9" * 30, "1&api_key_id=1"):
        answer = await send(alice, ACTIVITY, f"?api_key_id={key}")
        assert answer.status_code == 422, key
        assert_problem(answer, 422, "invalid", "#/api_key_id")
    assert_problem(await send(alice, ACTIVITY, "?key_id=1"), 422, "invalid", "#/key_id")


async def test_the_only_key_of_that_name_takes_its_rows(
    alice: Person, bob: Person, connection: asyncpg.Connection
) -> None:
    await add_key(connection, bob.id, "sample-agent-key")
    key = await add_key(connection, alice.id, "sample-agent-key")
    await imports(alice, ACTIVITY)
    assert set(await stored(connection, "k.id")) == {(key,)}


async def test_name_of_two_keys_means_the_imported_one(alice: Person, connection: asyncpg.Connection) -> None:
    for _ in range(2):
        await add_key(connection, alice.id, "sample-agent-key")
    await imports(alice, ACTIVITY)
    assert set(await stored(connection, "k.kind", "k.name")) == {("imported", "sample-agent-key")}
    await imports(alice, export({"generation_id": "another", "api_key_name": "sample-agent-key"}))
    assert set(await stored(connection, "k.kind", "k.name")) == {("imported", "sample-agent-key")}
    assert await connection.fetchval("SELECT count(*) FROM openrouter_keys WHERE user_id = $1", alice.id) == 3


async def test_unknown_name_gets_an_imported_key_once(alice: Person, connection: asyncpg.Connection) -> None:
    await imports(alice, ACTIVITY)
    await imports(alice, export({"generation_id": "x", "api_key_name": "sample-agent-key"}))
    keys = await connection.fetch("SELECT name, kind, last_synced_at FROM openrouter_keys WHERE user_id = $1", alice.id)
    assert [(key["name"], key["kind"]) for key in keys] == [("sample-agent-key", "imported")]
    assert keys[0]["last_synced_at"] is not None


async def test_rows_without_a_key_name_belong_to_no_key(alice: Person, connection: asyncpg.Connection) -> None:
    names = {"gen-1": "", "gen-2": "a", "gen-3": "b", "gen-4": " a ", "gen-5": "  "}
    await imports(alice, export(*({"generation_id": one, "api_key_name": name} for one, name in names.items())))
    assert await stored(connection, "generation_id", "k.id = 0", "k.name") == [
        ("gen-1", True, ""),
        ("gen-2", False, "a"),
        ("gen-3", False, "b"),
        ("gen-4", False, "a"),
        ("gen-5", True, ""),
    ]
    assert await connection.fetchval("SELECT count(*) FROM openrouter_keys WHERE user_id = $1", alice.id) == 2
    await assert_consistent(connection)


# --- bodies


async def test_importing_needs_a_login(
    alice: Person, client: httpx.AsyncClient, connection: asyncpg.Connection
) -> None:
    token = (await alice.creates_token())["token"]
    assert_unauthenticated(await client.post(IMPORT, content=ACTIVITY, headers=CSV), credential_sent=False)
    for credential in (token, "x", alice.tokens["refresh_token"]):
        answer = await client.post(IMPORT, content=ACTIVITY, headers=CSV | bearer(credential))
        assert_unauthenticated(answer, credential_sent=True)
    assert await connection.fetchval("SELECT count(*) FROM generations") == 0


async def test_other_media_types_are_refused(alice: Person) -> None:
    for media_type in (
        "application/json",
        "text/plain",
        "application/octet-stream",
        "text/csv+x",
        "multipart/form-data",
        "x",
        "",
    ):
        answer = await alice.call("POST", IMPORT, content=ACTIVITY, headers={"Content-Type": media_type})
        assert answer.status_code == 415, media_type
        assert_problem(answer, 415, "unsupported_media_type")
    assert_problem(await alice.call("POST", IMPORT, content=ACTIVITY), 415, "unsupported_media_type")


async def test_media_type_may_have_parameters_and_any_case(alice: Person) -> None:
    for media_type in ("text/csv; charset=utf-8", "TEXT/CSV", 'text/csv;charset="utf-8";header=present'):
        answer = await alice.call("POST", IMPORT, content=ACTIVITY, headers={"Content-Type": media_type})
        assert answer.status_code == 200, (media_type, answer.text)


async def test_body_that_is_no_export_is_refused(alice: Person, connection: asyncpg.Connection) -> None:
    for content in (
        b"",
        b"\n",
        b"{}",
        b"a,b\n1,2\n",
        b"\xff\xfe\x00",
        b"\0" * 3_000_000,
        ACTIVITY.replace(b"cost_total", b"cost"),
    ):
        answer = await send(alice, content)
        assert answer.status_code == 422, content[:20]
        assert_problem(answer, 422, "invalid", "#/file")
        form = await alice.post(IMPORT, files={"file": ("x.csv", content, "text/csv")})
        assert_problem(form, 422, "invalid", "#/file")
    assert await connection.fetchval("SELECT count(*) FROM generations") == 0


async def test_form_without_the_file_is_refused(alice: Person, connection: asyncpg.Connection) -> None:
    for files in ({"files": ("x.csv", ACTIVITY)}, {"File": ("x.csv", ACTIVITY)}):
        answer = await alice.post(IMPORT, files=files)
        problem = assert_problem(answer, 422, "invalid", "#/file")
        assert "missing" in problem["errors"][0]["detail"]
    assert await connection.fetchval("SELECT count(*) FROM generations") == 0


def form(*parts: tuple[str, bytes], end: bytes = b"--b--\r\n") -> bytes:
    """A multipart body with the boundary `b`."""
    head = 'Content-Disposition: form-data; name="{}"; filename="x.csv"'
    return b"".join(b"--b\r\n%s\r\n\r\n%s\r\n" % (head.format(name).encode(), content) for name, content in parts) + end


async def test_broken_forms_are_malformed(alice: Person) -> None:
    whole = form(("file", ACTIVITY))
    broken = (
        b"", b"--b", b"--b--", ACTIVITY, whole[:-10], whole[: len(whole) // 2], form(("file", ACTIVITY), end=b""),
        whole.replace(b"Content-Disposition", b"X-Other"), whole.replace(b"form-data", b"\xff\xfe"),
        form(*[("x", b"")] * 1000), b"--b\r\n" + b"x: y\r\n" * 100_000,
    )  # fmt: skip
    for content in broken:
        answer = await alice.call(
            "POST", IMPORT, content=content, headers={"Content-Type": "multipart/form-data; boundary=b"}
        )
        assert answer.status_code in {400, 422}, (answer.status_code, content[:60])
        assert answer.headers["content-type"] == "application/problem+json"
    for boundary in ("", '""', "\xff", "x" * 10_000):
        answer = await alice.call(
            "POST",
            IMPORT,
            content=whole,
            headers={"Content-Type": f"multipart/form-data; boundary={boundary}".encode("latin-1")},
        )
        assert answer.status_code in {400, 415, 422}, (answer.status_code, boundary)


async def test_form_that_breaks_off_inside_the_file_is_malformed(alice: Person) -> None:
    whole = form(("file", ACTIVITY))
    answer = await alice.call(
        "POST", IMPORT, content=whole[:-200], headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert_problem(answer, 400, "malformed")


async def test_first_part_named_file_is_the_file(alice: Person, connection: asyncpg.Connection) -> None:
    other = export({"generation_id": "other"})
    for content in (form(("note", other), ("file", ACTIVITY), ("x", other)), form(("file", ACTIVITY), ("file", other))):
        answer = await alice.call(
            "POST", IMPORT, content=content, headers={"Content-Type": "multipart/form-data; boundary=b"}
        )
        assert answer.status_code == 200, answer.text
        assert exact(answer)["rows"] == 159
    assert await connection.fetchval("SELECT count(*) FROM generations WHERE generation_id = 'other'") == 0


async def test_file_larger_than_other_bodies_may_be_is_read(alice: Person) -> None:
    rows = export(*({"generation_id": f"gen-{number}", "app_name": "x" * 500} for number in range(4000)))
    assert len(rows) > 2_000_000

    async def streamed() -> AsyncGenerator[bytes]:
        for start in range(0, len(rows), 1000):
            yield rows[start : start + 1000]

    assert (await imports(alice, streamed()))["imported"] == 4000
    assert (await imports(alice, rows))["duplicates"] == 4000


async def test_import_that_was_cut_off_is_completed_by_importing_again(
    database_url: str, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    count = BATCH_ROWS + 5_000
    content = export(*({"generation_id": f"gen-{number}", "cost_total": "0.000001"} for number in range(count)))

    async def cut_off() -> AsyncGenerator[bytes]:
        for start in range(0, len(content) - 100_000, 100_000):
            yield content[start : start + 100_000]
        for _ in range(300):  # until the first batch is booked
            if await connection.fetchval("SELECT count(*) FROM usage_facts"):
                break
            await asyncio.sleep(0.1)
        raise ConnectionAbortedError

    async with running_server(database_url, tmp_path / "server.log") as client:
        alice = await Person.arrives(client, "alice@example.com")
        with pytest.raises(ConnectionAbortedError):
            await imports(alice, cut_off())
        kept = await connection.fetchval("SELECT count(*) FROM generations")
        assert 0 < kept < count
        await assert_consistent(connection)
        report = await imports(alice, content)
    assert (report["rows"], report["imported"], report["duplicates"]) == (count, count - kept, kept)
    fact = await connection.fetchrow("SELECT requests, cost FROM usage_facts")
    assert tuple(fact) == (count, count * Decimal("0.000001"))
    await assert_consistent(connection)


# --- the end of an account


async def test_nothing_is_left_of_a_deleted_account(
    alice: Person, bob: Person, connection: asyncpg.Connection, database_url: str
) -> None:
    for person in (alice, bob):
        await imports(person, ACTIVITY)
        await person.creates_token()
    assert (await alice.delete("/api/auth/me", json={"password": PASSWORD})).status_code == 204
    db = Database(database_url)
    await db.open()
    await scheduler.purge(db)
    await db.close()
    for table in (*TABLES, "api_tokens", "sessions"):
        query = f"SELECT count(*) FROM {table} WHERE user_id = $1"  # noqa: S608 -- from above
        alices, bobs = [await connection.fetchval(query, person.id) for person in (alice, bob)]
        assert (alices, bobs > 0) == (0, True), table
    assert await connection.fetchval("SELECT array_agg(id) FROM users") == [bob.id]
    assert await connection.fetchval("SELECT count(*) FROM api_token_meters") == 1
    await assert_exactly_the_export(connection, bob.id)


async def test_import_into_an_account_deleted_meanwhile_leaves_nothing(
    alice: Person, connection: asyncpg.Connection
) -> None:
    async def slowly() -> AsyncGenerator[bytes]:
        yield ACTIVITY[:5000]
        assert (await alice.delete("/api/auth/me", json={"password": PASSWORD})).status_code == 204
        yield ACTIVITY[5000:]

    assert (await send(alice, slowly())).status_code in {401, 404}
    assert await connection.fetchval("SELECT count(*) FROM generations") == 0
    assert await connection.fetchval("SELECT count(*) FROM usage_facts") == 0


async def test_account_that_is_deleted_during_its_upload_gets_no_keys(
    alice: Person, database_url: str, connection: asyncpg.Connection
) -> None:
    await connection.execute("UPDATE users SET deleted_at = now(), email_key = NULL WHERE id = $1", alice.id)
    db = Database(database_url)
    await db.open()
    try:
        with pytest.raises(NotFound):
            await keys.ids_by_name(db, alice.id, {"a new key"})
    finally:
        await db.close()
    assert await connection.fetchval("SELECT count(*) FROM openrouter_keys WHERE user_id = $1", alice.id) == 0


async def test_imports_at_once_wait_for_their_turn(alice: Person, bob: Person) -> None:
    content = export(*({"generation_id": f"gen-{number}"} for number in range(50)))
    answers = await asyncio.gather(*(send(person, content) for person in (alice, bob) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 8
