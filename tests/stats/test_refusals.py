"""Is what cannot be meant refused on every route of figures, with the field named, and nothing silently ignored?"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncGenerator
from datetime import date

import asyncpg
import httpx
import msgspec
import pytest

from app.cursors import ByCell, ByTime, Cursors
from app.stats.selection import select
from tests.accounts.bodies import assert_problem, assert_unauthenticated
from tests.cast import PASSWORD, Person, bearer
from tests.conftest import SECRET, new_database, quiet_settings, running_app
from tests.readers import AUGUST, Reader
from tests.usage.facts import Fact, book, key_ids

SELECTING = [("/api", "stats"), ("/api", "usage"), ("/api/v1", "stats"), ("/api/v1", "usage")]
PAGED = [("/api", "usage"), ("/api/v1", "usage"), ("/api/v1", "keys")]
ALL = [*SELECTING, ("/api/v1", "keys"), ("/api/v1", "token"), ("/api/v1", "metrics")]


class Asked(msgspec.Struct):
    """Readers of Alice's and Bob's figures, both of whom have some; and somebody who looks behind the service's back."""

    alice: dict[str, Reader]
    bob: dict[str, Reader]
    connection: asyncpg.Connection


@pytest.fixture(scope="module")
async def asked(server_url: str, template: str) -> AsyncGenerator[Asked]:
    """One service for all refusals, because they change nothing."""
    async with new_database(server_url, template) as url, running_app(quiet_settings(url)) as client:
        readers = []
        connection = await asyncpg.connect(url)
        for email in ("alice@example.com", "bob@example.com"):
            owner = await Person.arrives(client, email)
            await book(
                connection, owner.id, *(Fact(date(2026, 8, day), f"key {day} of {email}") for day in range(1, 4))
            )
            readers.append({root: await Reader.of(owner, root) for root in ("/api", "/api/v1")})
        yield Asked(*readers, connection)
        await connection.close()


async def refused(reader: Reader, path: str, query: str, pointer: str) -> None:
    """As invalid, with the field named."""
    await reader.refused(path, query, 422, "invalid", pointer)


# --- the selection

BAD_SELECTIONS = {
    "days": (
        "0", "-1", "3661", "1e3", "abc", "+5", "%205", "5%20", "05", "5.0", "", "%D9%A5", "%EF%BC%95", "0x1", "1_0",
        "true", "null", str(2**31), str(2**63), "9" * 30, "9" * 5000, "%00", "5%00", "5&days=5", "5&days=6", "5;x",
        f"5&{AUGUST}", "5&start_date=2026-08-01", "5&end_date=2026-08-01",
    ),
    "start_date": tuple(
        f"{start}&end_date=2026-12-01"
        for start in (
            "2026-02-30", "2026-13-01", "2026-8-1", "today", "", "null", "2026-08-01T00:00:00Z", "10000-01-01", "0000-01-01",
            "-2026-08-01", "infinity", "-infinity", "0", "1787608818", "2026-08-01%00", "20260801", "2026-W31-1",
            "+2026-08-01", "%D9%A2%D9%A0%D9%A2%D9%A6-08-01", "2026-08-01%20", "2026-08-01&start_date=2026-08-01",
        )
    ),
    "end_date": (
        "2026-02-30&start_date=2026-02-01", "&start_date=2026-02-01", "2026-08-01&start_date=2026-08-02",
        "2026-08-24&start_date=2016-08-16", "9999-12-31&start_date=0001-01-01", "x&start_date=2026-02-01",
        "9999-12-31&start_date=2999-12-31",
    ),
    "api_key_id": (
        "0", "-1", "01", "+1", "%201", "1.0", "1e3", "x", "", "%00", "%D9%A1", str(2**63), str(2**64), "9" * 30, "null",
        "1&api_key_id=1",
    ),
    "model": ("%00", "a%00b", "a&model=a", "a&model=b"),
    "unknown": ("1", ""),
    "key_id": ("1",),
    "user_id": ("1",),
    "timezone": ("UTC",),
    "Days": ("1",),
}  # fmt: skip


@pytest.mark.parametrize("field", BAD_SELECTIONS)
@pytest.mark.parametrize(("root", "path"), SELECTING)
async def test_bad_selections_are_refused_and_the_field_is_named(
    asked: Asked, root: str, path: str, field: str
) -> None:
    for value in BAD_SELECTIONS[field]:
        await refused(asked.alice[root], path, f"{field}={value}", f"#/{field}")


@pytest.mark.parametrize(("root", "path"), SELECTING)
async def test_one_date_alone_is_refused_and_the_other_one_named(asked: Asked, root: str, path: str) -> None:
    await refused(asked.alice[root], path, "start_date=2026-08-01", "#/end_date")
    await refused(asked.alice[root], path, "end_date=2026-08-01", "#/start_date")


@pytest.mark.parametrize(("root", "path"), SELECTING)
async def test_bad_selections_are_refused_as_csv_too(asked: Asked, root: str, path: str) -> None:
    for query, pointer in (("days=0", "#/days"), ("start_date=2026-02-30&end_date=2026-03-01", "#/start_date")):
        answer = await asked.alice[root].ask(path, query, {"Accept": "text/csv"})
        assert_problem(answer, 422, "invalid", pointer)


@pytest.mark.parametrize(("root", "path"), SELECTING)
async def test_key_that_does_not_exist_is_not_found(asked: Asked, root: str, path: str) -> None:
    for key in ("999999", str(2**63 - 1)):
        await asked.alice[root].refused(path, f"api_key_id={key}", 404, "not_found")


@pytest.mark.parametrize(("root", "path"), SELECTING)
async def test_key_of_somebody_else_is_forbidden_and_nothing_of_it_told(asked: Asked, root: str, path: str) -> None:
    theirs = (await key_ids(asked.connection, asked.bob[root].owner.id))["key 1 of bob@example.com"]
    for accept in ("application/json", "text/csv"):
        answer = await asked.alice[root].ask(path, f"{AUGUST}&api_key_id={theirs}", {"Accept": accept})
        assert_problem(answer, 403, "not_yours")
        assert "bob" not in answer.text


@pytest.mark.parametrize(("root", "path"), SELECTING)
async def test_key_of_a_deleted_account_is_not_found(asked: Asked, root: str, path: str) -> None:
    leaver = await Person.arrives(asked.alice[root].owner.client, f"leaver{SELECTING.index((root, path))}@example.com")
    await book(asked.connection, leaver.id, Fact(date(2026, 8, 1), "theirs"))
    (key_id,) = (await key_ids(asked.connection, leaver.id)).values()
    await asked.alice[root].refused(path, f"api_key_id={key_id}", 403, "not_yours")
    assert (await leaver.delete("/api/auth/me", json={"password": PASSWORD})).status_code == 204
    await asked.alice[root].refused(path, f"api_key_id={key_id}", 404, "not_found")


@pytest.mark.parametrize(("root", "path"), SELECTING)
async def test_key_whose_history_was_deleted_is_not_found(asked: Asked, root: str, path: str) -> None:
    reader = asked.alice[root]
    await book(asked.connection, reader.owner.id, Fact(date(2025, 1, 1), f"gone from {root}/{path}"))
    gone = (await key_ids(asked.connection, reader.owner.id))[f"gone from {root}/{path}"]
    assert (await reader.owner.delete(f"/api/keys/{gone}?history=delete")).status_code == 204
    await reader.refused(path, f"api_key_id={gone}", 404, "not_found")


# --- other parameters


@pytest.mark.parametrize(("root", "path"), ALL)
async def test_queries_that_are_no_utf8_or_endless_or_of_something_else_are_refused(
    asked: Asked, root: str, path: str
) -> None:
    for query in ("model=%ff", "days=%ff", "%ff=1", "model=%ed%a0%80", "a[]=1", "&".join(["days=1"] * 1000), "x", "=1"):
        await asked.alice[root].refused(path, query, 422, "invalid")
    await refused(asked.alice[root], path, "unknown=1", "#/unknown")


@pytest.mark.parametrize(("root", "path"), PAGED)
async def test_bad_limits_are_refused(asked: Asked, root: str, path: str) -> None:
    for value in (
        "0",
        "-1",
        "1001",
        "1e3",
        "abc",
        "",
        "%2B5",
        "05",
        "5.0",
        str(2**63),
        "9" * 5000,
        "5&limit=5",
        "null",
    ):
        await refused(asked.alice[root], path, f"limit={value}", "#/limit")


@pytest.mark.parametrize("root", ["/api", "/api/v1"])
async def test_bad_formats_are_refused(asked: Asked, root: str) -> None:
    for value in ("xml", "", "null", "CSV", "Json", "csv,json", "text/csv", "csv&format=csv", "csv&format=json", "%00"):
        await refused(asked.alice[root], "usage", f"format={value}", "#/format")
    for path in ("stats", *(["keys", "token", "metrics"] if root == "/api/v1" else [])):
        await refused(asked.alice[root], path, "format=csv", "#/format")


@pytest.mark.parametrize("root", ["/api", "/api/v1"])
async def test_csv_is_whole_and_takes_no_pages(asked: Asked, root: str) -> None:
    reader = asked.alice[root]
    cursor = await first_cursor(reader, "usage")
    for query, pointer in (("limit=1", "#/limit"), (f"cursor={cursor}", "#/cursor"), ("cursor=", "#/cursor")):
        await refused(reader, "usage", f"{AUGUST}&format=csv&{query}", pointer)
        answer = await reader.ask("usage", f"{AUGUST}&{query}", {"Accept": "text/csv"})
        assert_problem(answer, 422, "invalid", pointer)


# --- cursors


async def first_cursor(reader: Reader, path: str) -> str:
    """Which leads to the second page."""
    query = f"{AUGUST}&limit=1" if path == "usage" else "limit=1"
    return (await reader.get(path, query)).json()["next_cursor"]


def tampered(cursor: str) -> list[str]:
    """What somebody might make of it."""
    raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    flipped = [raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :] for place in (0, 7, 15, 16, 20, len(raw) - 1)]
    longer = [raw + b"\0", b"\0" + raw, raw[:16], raw[:8], raw[16:], b""]
    return [
        "", "x", "%20", "AAAA", "A" * 40, "null", "%00", "é", "%F0%9F%98%80", "a" * 5000, cursor[:-1], cursor[1:],
        cursor + "A", f"{cursor}=", f"{cursor}%20", f"%0A{cursor}", cursor.swapcase(), cursor[::-1],
        f"{cursor}&cursor={cursor}", *(urlsafe_b64encode(made).rstrip(b"=").decode() for made in (*flipped, *longer)),
    ]  # fmt: skip


@pytest.mark.parametrize(("root", "path"), PAGED)
async def test_cursors_that_are_forged_or_cut_are_refused(asked: Asked, root: str, path: str) -> None:
    reader, query = asked.alice[root], AUGUST if path == "usage" else "limit=100"
    cursor = await first_cursor(reader, path)
    for made in tampered(cursor):
        assert made != cursor
        await refused(reader, path, f"{query}&cursor={made}", "#/cursor")


@pytest.mark.parametrize(("root", "path"), PAGED)
async def test_cursor_of_somebody_else_is_refused(asked: Asked, root: str, path: str) -> None:
    cursor = await first_cursor(asked.alice[root], path)
    query = f"{AUGUST}&cursor={cursor}" if path == "usage" else f"cursor={cursor}"
    assert (await asked.alice[root].ask(path, query)).status_code == 200
    await refused(asked.bob[root], path, query, "#/cursor")


@pytest.mark.parametrize("root", ["/api", "/api/v1"])
async def test_cursor_of_another_selection_is_refused(asked: Asked, root: str) -> None:
    reader = asked.alice[root]
    cursor = await first_cursor(reader, "usage")
    key = (await key_ids(asked.connection, reader.owner.id))["key 1 of alice@example.com"]
    for query in (
        "", "days=30", "days=3660", "start_date=2026-08-01&end_date=2026-08-30", f"{AUGUST}&model=m", f"{AUGUST}&model=",
        f"{AUGUST}&api_key_id={key}",
    ):  # fmt: skip
        await refused(reader, "usage", f"{query}&cursor={cursor}".removeprefix("&"), "#/cursor")
    for query in (AUGUST, f"{AUGUST}&limit=7", "end_date=2026-08-31&start_date=2026-08-01", f"format=json&{AUGUST}"):
        assert (await reader.ask("usage", f"{query}&cursor={cursor}")).status_code == 200, query


async def test_cursor_of_another_list_is_refused(asked: Asked) -> None:
    reader = asked.alice["/api/v1"]
    of_usage, of_keys = [await first_cursor(reader, path) for path in ("usage", "keys")]
    await refused(reader, "usage", f"{AUGUST}&cursor={of_keys}", "#/cursor")
    await refused(reader, "keys", f"cursor={of_usage}", "#/cursor")
    of_tokens = Cursors([SECRET]).make(ByTime(0, 1), "tokens", reader.owner.id)
    await refused(reader, "keys", f"cursor={of_tokens}", "#/cursor")


async def test_cursor_of_another_service_is_refused(asked: Asked) -> None:
    reader, day = asked.alice["/api/v1"], date(2026, 8, 31)
    selection = select(None, date(2026, 8, 1), day, None, None)
    place = ByCell(date(2026, 8, 1), day, day, 1, 1, 1)
    for secret, status in ((SECRET, 200), (bytes(32), 422)):
        cursor = Cursors([secret]).make(place, "usage", reader.owner.id, selection)
        assert (await reader.ask("usage", f"{AUGUST}&cursor={cursor}")).status_code == status


# --- who


@pytest.mark.parametrize(("root", "path"), ALL)
async def test_who_is_not_let_in_does_not_learn_what_is_wrong(asked: Asked, root: str, path: str) -> None:
    client: httpx.AsyncClient = asked.alice[root].owner.client
    other = asked.alice["/api" if root == "/api/v1" else "/api/v1"].headers
    for query in ("", "?days=0", "?cursor=x", "?api_key_id=999999"):
        assert_unauthenticated(await client.get(f"{root}/{path}{query}"), credential_sent=False)
        for headers in (other, bearer("x"), bearer("or_api_" + "0" * 38)):
            answer = await client.get(f"{root}/{path}{query}", headers=headers)
            assert_unauthenticated(answer, credential_sent=True)
