"""Do Prometheus, and so Grafana, read a user's figures from `GET /api/v1/metrics` with nothing but an API token?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from app.simulator.world import Account
from tests.cast import Person
from tests.public.test_keys import adds
from tests.readers import Reader, today
from tests.usage.exports import ACTIVITY, export, imports
from tests.usage.facts import Fact, book, key_ids

CELL = ("api_key_id", "api_key_name", "model", "period")
GAUGES = {
    "openrouter_cost_dollars", "openrouter_byok_cost_dollars", "openrouter_requests", "openrouter_tokens",
    "openrouter_key_limit_dollars", "openrouter_key_limit_remaining_dollars", "openrouter_credits_left_dollars",
    "openrouter_key_last_success_timestamp_seconds",
}  # fmt: skip
DOCUMENTATION = Path("docs/api.md").read_text(encoding="utf-8")
PERIODS = ("today", "month", "all_time")


async def scraped(reader: Reader) -> dict[str, Metric]:
    """As the official parser takes it."""
    answer = await reader.get("metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(answer.content.decode()))
    assert all(count == 1 for count in Counter(family.name for family in families).values())
    return {family.name: family for family in families}


async def values(reader: Reader, name: str, **labels: str) -> dict[tuple[str, ...], float]:
    """Of a gauge, by those labels that are not given."""
    found = {}
    for sample in (await scraped(reader))[name].samples:
        if all(sample.labels[label] == value for label, value in labels.items()):
            found[tuple(value for label, value in sample.labels.items() if label not in labels)] = sample.value
    return found


def days_of_month() -> Iterator[date]:
    """Two of this month, today the last; one of them where there is no other."""
    first = today().replace(day=1)
    yield from {first, today()}


# --- the form


async def test_every_family_is_a_gauge_that_says_what_it_is(reader: Reader) -> None:
    await imports(reader.owner, ACTIVITY)
    families = await scraped(reader)
    assert families.keys() == GAUGES
    assert {family.type for family in families.values()} == {"gauge"}
    assert all(family.documentation for family in families.values())


async def test_who_has_nothing_is_told_nothing(reader: Reader) -> None:
    families = await scraped(reader)
    assert families.keys() == GAUGES
    assert [sample for family in families.values() for sample in family.samples] == []


async def test_no_series_is_there_twice(reader: Reader, connection: asyncpg.Connection) -> None:
    facts = [
        Fact(day, key, model, requests=1) for day in days_of_month() for key in ("a", None) for model in ("m", None)
    ]
    await book(connection, reader.owner.id, *facts)
    samples = [sample for family in (await scraped(reader)).values() for sample in family.samples]
    counts = Counter((sample.name, tuple(sorted(sample.labels.items()))) for sample in samples)
    assert set(counts.values()) == {1}


@pytest.mark.parametrize(
    "name",
    ['a "quoted" name', "back\\slash", 'a\\"', "\\n", "ü 🙂", '{a="b"}', "a,b=c", "# HELP x", "=1+1", "trailing\\"],
)
async def test_names_come_through_unchanged(reader: Reader, name: str) -> None:
    await imports(reader.owner, export({"generation_id": "1", "api_key_name": name, "model_permaslug": name}))
    (labels,) = await values(reader, "openrouter_cost_dollars", period="all_time")
    assert labels[1:] == (name, name)


async def test_names_with_line_breaks_come_through_unchanged(reader: Reader, connection: asyncpg.Connection) -> None:
    name = "two\nlines\\n and\ttab"
    await book(connection, reader.owner.id, Fact(today(), name, name, requests=1))
    (labels,) = await values(reader, "openrouter_requests", period="today")
    assert labels[1:] == (name, name)


# --- the figures


async def test_figures_are_by_key_and_model_of_today_this_month_and_all_time(
    reader: Reader, connection: asyncpg.Connection
) -> None:
    before = today().replace(day=1) - timedelta(days=1)
    facts = [Fact(day, "k", "m", cost=Decimal("0.1"), requests=1, tokens_input=10) for day in days_of_month()]
    facts += [
        Fact(before, "k", "m", cost=Decimal("0.02"), requests=20),
        Fact(before, None, "n", cost=Decimal(3), requests=0),
    ]
    await book(connection, reader.owner.id, *facts)
    key = str((await key_ids(connection, reader.owner.id))["k"])
    month = len(list(days_of_month()))
    cost = await values(reader, "openrouter_cost_dollars")
    assert cost == {
        (key, "k", "m", "today"): 0.1,
        (key, "k", "m", "month"): float(month * Decimal("0.1")),
        (key, "k", "m", "all_time"): float(month * Decimal("0.1") + Decimal("0.02")),
        # what was used before and not since is 0, and does not vanish
        ("", "", "n", "today"): 0,
        ("", "", "n", "month"): 0,
        ("", "", "n", "all_time"): 3,
    }
    requests = await values(reader, "openrouter_requests", api_key_id=key)
    assert requests == {("k", "m", "today"): 1, ("k", "m", "month"): month, ("k", "m", "all_time"): month + 20}


async def test_money_keeps_its_digits(reader: Reader, connection: asyncpg.Connection) -> None:
    await book(connection, reader.owner.id, Fact(today(), cost=Decimal("123456789.123456789123456789")))
    assert " 123456789.123456789123456789\n" in (await reader.get("metrics")).text


async def test_tenths_come_to_ones(reader: Reader, connection: asyncpg.Connection) -> None:
    await book(
        connection,
        reader.owner.id,
        *(Fact(today(), model="m", provider=f"{n}", cost=Decimal("0.1")) for n in range(10)),
    )
    # ten times a tenth is one; adding up doubles would give 0.9999999999999999
    assert set((await values(reader, "openrouter_cost_dollars")).values()) == {1.0}


async def test_tokens_are_told_by_kind(reader: Reader, connection: asyncpg.Connection) -> None:
    fact = Fact(today(), model="m", tokens_input=1, tokens_output=2, tokens_reasoning=3, tokens_cached=4)
    await book(connection, reader.owner.id, fact)
    for period in PERIODS:
        found = await values(reader, "openrouter_tokens", period=period, model="m", api_key_id="", api_key_name="")
        assert found == {("input",): 1, ("output",): 2, ("reasoning",): 3, ("cached",): 4}


async def test_what_is_not_known_is_left_out_and_zero_is_told(reader: Reader, connection: asyncpg.Connection) -> None:
    await book(connection, reader.owner.id, Fact(today(), "k", cost=Decimal(1)), Fact(today(), "l", "m", requests=0))
    assert {labels[1] for labels in await values(reader, "openrouter_cost_dollars")} == {"k"}
    assert {labels[1] for labels in await values(reader, "openrouter_requests")} == {"l"}
    assert set((await values(reader, "openrouter_requests")).values()) == {0}
    assert await values(reader, "openrouter_tokens") == {}


async def test_day_of_which_nothing_is_known_is_left_out_and_an_idle_one_is_zero(
    reader: Reader, connection: asyncpg.Connection
) -> None:
    before = today().replace(day=1) - timedelta(days=1)
    await book(
        connection, reader.owner.id, Fact(before, "k", requests=5, cost=Decimal(1)), Fact(before, "l", requests=7)
    )
    await book(connection, reader.owner.id, Fact(today(), "k", cost=Decimal(2)))
    found = await values(reader, "openrouter_requests", model="")
    assert {(name, period): value for (_, name, period), value in found.items()} == {
        ("k", "all_time"): 5, ("l", "all_time"): 7, ("l", "month"): 0, ("l", "today"): 0,
    }  # fmt: skip


async def test_metrics_come_to_what_the_statistics_say(reader: Reader) -> None:
    await imports(reader.owner, ACTIVITY)
    summary = await reader.summary()
    for name, figure in (("cost_dollars", "cost"), ("requests", "requests")):
        found = await values(reader, f"openrouter_{name}", period="all_time")
        assert sum(found.values()) == pytest.approx(float(summary[f"total_{figure}"]), abs=1e-9)


async def test_deleted_key_keeps_its_name_and_a_deleted_history_is_gone(
    reader: Reader, connection: asyncpg.Connection
) -> None:
    await book(connection, reader.owner.id, Fact(today(), "a", cost=Decimal(1)), Fact(today(), "b", cost=Decimal(2)))
    ids = await key_ids(connection, reader.owner.id)
    assert (await reader.owner.delete(f"/api/keys/{ids['a']}")).status_code == 204
    assert (await reader.owner.delete(f"/api/keys/{ids['b']}?history=delete")).status_code == 204
    assert {labels[1] for labels in await values(reader, "openrouter_cost_dollars")} == {"a"}
    assert await values(reader, "openrouter_key_last_success_timestamp_seconds") == {}


# --- keys


async def test_limits_and_credits_are_told(reader: Reader, alice: Person, account: Account) -> None:
    limited, free = account.add_key("limited", limit=Decimal(10)), account.add_key("free")
    account.spend(limited, Decimal("0.25"))
    manager = account.add_management_key("admin")
    ids = [str(await adds(alice, key)) for key in (limited, free, manager)]
    assert await values(reader, "openrouter_key_limit_dollars") == {(ids[0], "limited"): 10}
    assert await values(reader, "openrouter_key_limit_remaining_dollars") == {(ids[0], "limited"): 9.75}
    assert await values(reader, "openrouter_credits_left_dollars") == {(ids[2], "admin"): 99.75}
    moments = await values(reader, "openrouter_key_last_success_timestamp_seconds")
    assert {key for key, _ in moments} == {*ids}
    assert all(abs(moment - datetime.now(UTC).timestamp()) < 60 for moment in moments.values())


async def test_scraping_is_counted(reader: Reader) -> None:
    for _ in range(3):
        await scraped(reader)
    assert (await reader.get("token")).json()["request_count"] == 4


async def test_revoked_token_scrapes_nothing(reader: Reader) -> None:
    token = (await reader.get("token")).json()["id"]
    assert (await reader.owner.delete(f"/api/tokens/{token}")).status_code == 204
    answer = await reader.ask("metrics")
    assert (answer.status_code, "openrouter_" in answer.text) == (401, False)


async def test_documentation_names_every_gauge_and_where_they_are(reader: Reader) -> None:
    assert {name for name in GAUGES if name not in DOCUMENTATION} == set()
    (path,) = re.findall(r"^ +metrics_path: (\S+)$", DOCUMENTATION, re.MULTILINE)
    assert path == f"{reader.root}/metrics"
    # whose type is Bearer, if nothing is said
    assert re.search(r"^ +authorization:\n +credentials_file: ", DOCUMENTATION, re.MULTILINE)
