"""Does `GET /api/v1/stats` sum exactly what was asked for, and only what is the caller's?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest

from app.settings import Settings
from tests.accounts.bodies import assert_problem, assert_unauthenticated
from tests.cast import Person, bearer
from tests.conftest import SECRET, new_database, running_app
from tests.usage.exports import ACTIVITY, exact, export, imports

STATS = "/api/v1/stats"
AUGUST = "start_date=2026-08-01&end_date=2026-08-31"
MEASURES = ("requests", "cost", "byok_cost", "tokens_input", "tokens_output", "tokens_reasoning", "tokens_cached")
NOTHING: dict[str, Any] = {f"total_{name}": 0 for name in MEASURES} | {"incomplete": []}
WHOLE = {
    "total_requests": 159,
    "total_cost": Decimal("1.071850"),
    "total_byok_cost": 0,
    "total_tokens_input": 17_386_716,
    "total_tokens_output": 51_209,
    "total_tokens_reasoning": 14_884,
    "total_tokens_cached": 14_216_867,
    "incomplete": [],
}


class Reader(msgspec.Struct):
    """A program with somebody's API token."""

    client: httpx.AsyncClient
    headers: dict[str, str]
    owner: Person

    async def ask(self, query: str) -> httpx.Response:
        """Whatever the answer."""
        return await self.client.get(f"{STATS}?{query}" if query else STATS, headers=self.headers)

    async def stats(self, query: str = "") -> dict[str, Any]:
        """The answer, with exact numbers."""
        answer = await self.ask(query)
        assert answer.status_code == 200, answer.text
        return exact(answer)

    async def summary(self, query: str = AUGUST) -> dict[str, Any]:
        """What it comes to."""
        return (await self.stats(query))["summary"]

    async def refused(self, query: str, status: int, code: str, pointer: str | None = None) -> None:
        """As API.md has it, and the field is named."""
        answer = await self.ask(query)
        assert answer.status_code == status, (query, answer.text)
        assert_problem(answer, status, code, pointer)


async def reader_of(person: Person) -> Reader:
    """A program of theirs."""
    return Reader(person.client, bearer((await person.creates_token())["token"]), person)


@pytest.fixture
async def reader(alice: Person) -> Reader:
    """Reads for Alice, who has nothing yet."""
    return await reader_of(alice)


@pytest.fixture
async def rich(reader: Reader) -> Reader:
    """Reads for Alice, who has imported the real export."""
    await imports(reader.owner, ACTIVITY)
    return reader


def today() -> date:
    """The UTC day."""
    return datetime.now(UTC).date()


async def add_usage(connection: asyncpg.Connection, user_id: int, day: date, **measures: Any) -> None:
    """One fact of that day behind the service's back, and the roll-ups that belong to it. What is not given is null."""
    number = await connection.fetchval("SELECT count(*) FROM usage_facts")
    names, given = ", ".join(MEASURES), [measures.get(name) for name in MEASURES]
    await connection.execute(
        f"""
        INSERT INTO usage_facts (user_id, key_id, day, model_id, provider_id, source, {names})
        VALUES ($1, 0, $2, 0, $3, 'export', $4, $5, $6, $7, $8, $9, $10)
        """,  # noqa: S608 -- names from above
        user_id,
        day,
        number,
        *given,
    )
    await connection.execute("DELETE FROM usage_rollups WHERE user_id = $1 AND day = $2", user_id, day)
    known = ", ".join(f"{name}_known" for name in MEASURES)
    await connection.execute(
        f"""
        INSERT INTO usage_rollups (user_id, key_id, model_id, day, facts, {names}, {known})
        SELECT user_id, sums.key_id, sums.model_id, day, count(*), {", ".join(f"sum({name})" for name in MEASURES)},
            {", ".join(f"count({name})" for name in MEASURES)}
        FROM usage_facts
        CROSS JOIN (VALUES (0, 0), (0, -1), (-1, 0), (-1, -1)) AS sums (key_id, model_id)
        WHERE user_id = $1 AND day = $2
        GROUP BY user_id, sums.key_id, sums.model_id, day
        """,  # noqa: S608 -- names from above
        user_id,
        day,
    )


# --- the real export


async def test_real_export_comes_to_exactly_its_figures(rich: Reader) -> None:
    stats = await rich.stats(AUGUST)
    assert stats.keys() == {"period", "summary", "data_as_of"}
    assert stats["period"] == {"start_date": "2026-08-01", "end_date": "2026-08-31", "days": 31, "timezone": "UTC"}
    assert stats["summary"] == WHOLE


async def test_single_day_comes_to_exactly_its_figures(rich: Reader) -> None:
    stats = await rich.stats("start_date=2026-08-20&end_date=2026-08-20")
    assert stats["period"] == {"start_date": "2026-08-20", "end_date": "2026-08-20", "days": 1, "timezone": "UTC"}
    assert (stats["summary"]["total_requests"], stats["summary"]["total_cost"]) == (43, Decimal("0.415439"))


async def test_days_add_up_to_the_whole(rich: Reader) -> None:
    days = [f"2026-08-{day}" for day in range(18, 25)]
    parts = [await rich.summary(f"start_date={day}&end_date={day}") for day in days]
    for name in MEASURES:
        assert sum(part[f"total_{name}"] for part in parts) == WHOLE[f"total_{name}"], name
    assert await rich.summary("start_date=2026-08-18&end_date=2026-08-24") == WHOLE
    assert await rich.summary("start_date=2026-08-25&end_date=2026-12-31") == NOTHING
    assert await rich.summary("start_date=2026-01-01&end_date=2026-08-17") == NOTHING


async def test_money_is_a_json_number_with_exact_digits(rich: Reader) -> None:
    answer = await rich.ask(AUGUST)
    assert b'"total_cost":1.071850,' in answer.content
    await imports(rich.owner, export({"generation_id": "x", "cost_total": "123456789.00000000000000000001"}))
    answer = await rich.ask(AUGUST)
    assert b'"total_cost":123456790.07185000000000000001,' in answer.content


async def test_importing_again_changes_no_figure(rich: Reader) -> None:
    await imports(rich.owner, ACTIVITY)
    assert await rich.summary() == WHOLE


async def test_data_as_of_is_when_it_was_imported(reader: Reader) -> None:
    assert (await reader.stats())["data_as_of"] is None
    await imports(reader.owner, ACTIVITY)
    moment = (await reader.stats())["data_as_of"]
    assert moment.endswith("Z")
    assert abs(datetime.fromisoformat(moment) - datetime.now(UTC)) < timedelta(seconds=20)


async def test_data_as_of_is_the_oldest_among_the_selected_keys(reader: Reader, connection: asyncpg.Connection) -> None:
    moments = {"old": datetime(2026, 1, 1, tzinfo=UTC), "new": datetime(2026, 2, 2, tzinfo=UTC), "never": None}
    keys = {
        name: await connection.fetchval(
            """
            INSERT INTO openrouter_keys (user_id, name, kind, last_synced_at) VALUES ($1, $2, 'inference', $3)
            RETURNING id
            """,
            reader.owner.id,
            name,
            moment,
        )
        for name, moment in moments.items()
    }
    assert (await reader.stats())["data_as_of"] == "2026-01-01T00:00:00Z"
    assert (await reader.stats(f"api_key_id={keys['new']}"))["data_as_of"] == "2026-02-02T00:00:00Z"
    assert (await reader.stats(f"api_key_id={keys['never']}"))["data_as_of"] is None


# --- the selection


async def test_thirty_days_with_today_are_the_default(reader: Reader, connection: asyncpg.Connection) -> None:
    last = today()
    for back, requests in ((-1, 1000), (0, 1), (29, 20), (30, 300)):
        await add_usage(connection, reader.owner.id, last - timedelta(days=back), requests=requests)
    stats = await reader.stats()
    if today() != last:
        pytest.skip("midnight passed")
    first = last - timedelta(days=29)
    assert stats["period"] == {
        "start_date": first.isoformat(), "end_date": last.isoformat(), "days": 30, "timezone": "UTC",
    }  # fmt: skip
    assert stats["summary"]["total_requests"] == 21
    assert await reader.stats("days=30") == stats


@pytest.mark.parametrize("days", [1, 2, 7, 365, 3660])
async def test_days_end_with_today(reader: Reader, connection: asyncpg.Connection, days: int) -> None:
    last = today()
    for back in {0, days - 1}:
        await add_usage(connection, reader.owner.id, last - timedelta(days=back), requests=1)
    await add_usage(connection, reader.owner.id, last - timedelta(days=days), requests=1000)
    await add_usage(connection, reader.owner.id, last + timedelta(days=1), requests=1000)
    stats = await reader.stats(f"days={days}")
    if today() != last:
        pytest.skip("midnight passed")
    assert stats["period"]["start_date"] == (last - timedelta(days=days - 1)).isoformat()
    assert (stats["period"]["end_date"], stats["period"]["days"]) == (last.isoformat(), days)
    assert stats["summary"]["total_requests"] == len({0, days - 1})


async def test_longest_period_may_lie_anywhere(rich: Reader) -> None:
    start = date(2026, 8, 24) - timedelta(days=3659)
    stats = await rich.stats(f"start_date={start}&end_date=2026-08-24")
    assert (stats["period"]["days"], stats["summary"]) == (3660, WHOLE)
    for first, last in (("1900-01-01", "1900-12-31"), ("2999-01-01", "2999-12-31"), ("2024-02-29", "2024-02-29")):
        assert await rich.summary(f"start_date={first}&end_date={last}") == NOTHING


async def test_key_selects_its_own_usage(reader: Reader, connection: asyncpg.Connection) -> None:
    rows = [("gen-1", "a", "0.1"), ("gen-2", "b", "0.02"), ("gen-3", "b", "0.003"), ("gen-4", "", "0.0004")]
    await imports(
        reader.owner,
        export(*({"generation_id": one, "api_key_name": name, "cost_total": cost} for one, name, cost in rows)),
    )
    keys = dict(await connection.fetch("SELECT name, id FROM openrouter_keys WHERE user_id = $1", reader.owner.id))
    assert (await reader.summary(f"{AUGUST}&api_key_id={keys['a']}"))["total_cost"] == Decimal("0.1")
    b = await reader.summary(f"{AUGUST}&api_key_id={keys['b']}")
    assert (b["total_cost"], b["total_requests"]) == (Decimal("0.023"), 2)
    assert (await reader.summary())["total_cost"] == Decimal("0.1234")
    assert await reader.summary(f"api_key_id={keys['b']}&start_date=2020-01-01&end_date=2020-01-31") == NOTHING


async def test_model_selects_its_own_usage(reader: Reader) -> None:
    rows = [
        ("1", "a/x", "k", "0.1"),
        ("2", "a/y", "k", "0.02"),
        ("3", "a/y", "l", "0.003"),
        ("4", "b & c/é:free", "l", "0.0004"),
    ]
    await imports(
        reader.owner,
        export(
            *(
                {"generation_id": one, "model_permaslug": model, "api_key_name": key, "cost_total": cost}
                for one, model, key, cost in rows
            )
        ),
    )
    for model, cost in (("a/x", "0.1"), ("a/y", "0.023"), ("b%20%26%20c/%C3%A9%3Afree", "0.0004")):
        assert (await reader.summary(f"{AUGUST}&model={model}"))["total_cost"] == Decimal(cost), model


async def test_key_and_model_select_what_belongs_to_both(reader: Reader, connection: asyncpg.Connection) -> None:
    rows = [("1", "x", "k", "0.1"), ("2", "y", "k", "0.02"), ("3", "y", "l", "0.003")]
    await imports(
        reader.owner,
        export(
            *(
                {"generation_id": one, "model_permaslug": model, "api_key_name": key, "cost_total": cost}
                for one, model, key, cost in rows
            )
        ),
    )
    keys = dict(await connection.fetch("SELECT name, id FROM openrouter_keys WHERE user_id = $1", reader.owner.id))
    for model, key, cost in (("x", "k", "0.1"), ("y", "k", "0.02"), ("y", "l", "0.003"), ("x", "l", "0")):
        summary = await reader.summary(f"{AUGUST}&model={model}&api_key_id={keys[key]}")
        assert summary["total_cost"] == Decimal(cost), (model, key)


async def test_unknown_model_selects_nothing(rich: Reader) -> None:
    for model in ("nobody/nothing", "OPENAI", "%25", "openai%", "x" * 2000, "'", "%F0%9F%98%80", "%E2%80%AE"):
        assert await rich.summary(f"{AUGUST}&model={model}") == NOTHING, model


# --- what is not known


async def test_selection_with_nothing_in_it_is_zero(reader: Reader) -> None:
    assert await reader.summary() == NOTHING
    assert await reader.summary("") == NOTHING


async def test_sum_over_nothing_but_nulls_is_null(reader: Reader, connection: asyncpg.Connection) -> None:
    await add_usage(connection, reader.owner.id, date(2026, 8, 1))
    await add_usage(connection, reader.owner.id, date(2026, 8, 2))
    assert await reader.summary() == {f"total_{name}": None for name in MEASURES} | {"incomplete": [*MEASURES]}


async def test_sum_skips_nulls_and_says_so(reader: Reader, connection: asyncpg.Connection) -> None:
    await add_usage(connection, reader.owner.id, date(2026, 8, 1), requests=3, cost=Decimal("0.5"), tokens_input=10)
    await add_usage(connection, reader.owner.id, date(2026, 8, 1), requests=4, tokens_input=0)
    await add_usage(connection, reader.owner.id, date(2026, 8, 2), requests=5, cost=Decimal("0.25"), tokens_cached=1)
    assert await reader.summary() == {
        "total_requests": 12,
        "total_cost": Decimal("0.75"),
        "total_byok_cost": None,
        "total_tokens_input": 10,
        "total_tokens_output": None,
        "total_tokens_reasoning": None,
        "total_tokens_cached": 1,
        "incomplete": ["cost", "byok_cost", "tokens_input", "tokens_output", "tokens_reasoning", "tokens_cached"],
    }
    # nothing is missing on a day that knows it
    second = await reader.summary("start_date=2026-08-02&end_date=2026-08-02")
    assert (second["total_cost"], "cost" in second["incomplete"]) == (Decimal("0.25"), False)


async def test_known_zero_is_zero_and_not_null(reader: Reader, connection: asyncpg.Connection) -> None:
    await add_usage(connection, reader.owner.id, date(2026, 8, 1), **dict.fromkeys(MEASURES, 0))
    assert await reader.summary() == NOTHING


# --- refusals


@pytest.fixture(scope="module")
async def asker(server_url: str, template: str) -> AsyncGenerator[Reader]:
    """Reads for somebody who has nothing; one for all refusals, because they change nothing."""
    async with new_database(server_url, template) as url, running_app(quiet(url)) as client:
        yield await reader_of(await Person.arrives(client, "alice@example.com"))


def quiet(url: str) -> Settings:
    """Nothing here is about limits."""
    return Settings(
        jwt_secrets=(SECRET,),
        encryption_keys=(SECRET,),
        database_url=url,
        login_limit=None,
        login_client_limit=None,
        registration_limit=None,
    )


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
    "limit": ("1",),
    "timezone": ("UTC",),
    "Days": ("1",),
}  # fmt: skip


@pytest.mark.parametrize("field", BAD_SELECTIONS)
async def test_bad_selections_are_refused_and_the_field_is_named(asker: Reader, field: str) -> None:
    for value in BAD_SELECTIONS[field]:
        await asker.refused(f"{field}={value}", 422, "invalid", f"#/{field}")


async def test_one_date_alone_is_refused_and_the_other_one_named(asker: Reader) -> None:
    await asker.refused("start_date=2026-08-01", 422, "invalid", "#/end_date")
    await asker.refused("end_date=2026-08-01", 422, "invalid", "#/start_date")


async def test_queries_that_are_no_utf8_or_endless_are_refused(asker: Reader) -> None:
    for query in ("model=%ff", "days=%ff", "%ff=1", "model=%ed%a0%80", "a[]=1", "&".join(["days=1"] * 1000)):
        await asker.refused(query, 422, "invalid")


async def test_key_that_does_not_exist_is_not_found(asker: Reader) -> None:
    for key in ("999999", str(2**63 - 1)):
        await asker.refused(f"api_key_id={key}", 404, "not_found")


async def test_reading_needs_an_api_token(asker: Reader) -> None:
    assert_unauthenticated(await asker.client.get(STATS), credential_sent=False)
    for credential in ("x", asker.owner.tokens["access_token"], asker.owner.tokens["refresh_token"]):
        assert_unauthenticated(await asker.client.get(STATS, headers=bearer(credential)), credential_sent=True)
    # who is not let in does not learn what is wrong with the query
    assert_unauthenticated(await asker.client.get(f"{STATS}?days=0"), credential_sent=False)


async def test_head_is_get_without_a_body(asker: Reader) -> None:
    answer = await asker.client.head(STATS, headers=asker.headers)
    assert (answer.status_code, answer.content) == (200, b"")


# --- whose


async def test_nobody_sees_anything_of_anybody_else(rich: Reader, bob: Person, connection: asyncpg.Connection) -> None:
    canary = export({"generation_id": "canary", "model_permaslug": "canary/model", "api_key_name": "canary key"})
    await imports(rich.owner, canary)
    keys = await connection.fetch("SELECT id FROM openrouter_keys WHERE user_id = $1", rich.owner.id)
    theirs = await reader_of(bob)
    for query in (AUGUST, "", "days=3660", f"{AUGUST}&model=canary/model"):
        stats = await theirs.stats(query)
        assert (stats["summary"], stats["data_as_of"]) == (NOTHING, None), query
    for (key,) in keys:
        answer = await theirs.ask(f"{AUGUST}&api_key_id={key}")
        assert_problem(answer, 403, "not_yours")
        assert "canary" not in answer.text
    # and the same model of one's own is one's own
    await imports(bob, export({"generation_id": "canary", "model_permaslug": "canary/model", "cost_total": "7"}))
    assert (await theirs.summary(f"{AUGUST}&model=canary/model"))["total_cost"] == 7
    assert (await rich.summary(f"{AUGUST}&model=canary/model"))["total_cost"] == Decimal("0.1")


async def test_usage_without_a_key_cannot_be_asked_for_by_the_row_that_stands_for_it(rich: Reader) -> None:
    for key in ("0", "-1"):
        await rich.refused(f"{AUGUST}&api_key_id={key}", 422, "invalid", "#/api_key_id")
    assert await rich.summary(f"{AUGUST}&model=") == NOTHING


async def test_readers_see_an_import_whole_or_not_at_all(reader: Reader) -> None:
    seen = []

    async def watch() -> None:
        while True:
            seen.append((await reader.summary())["total_requests"])

    watcher = asyncio.create_task(watch())
    await imports(reader.owner, ACTIVITY)
    seen.append((await reader.summary())["total_requests"])
    watcher.cancel()
    await asyncio.gather(watcher, return_exceptions=True)
    assert set(seen) <= {0, 159}
    assert seen[-1] == 159
