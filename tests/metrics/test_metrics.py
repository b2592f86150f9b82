"""Does the operator see how the service does, whichever of its processes is asked, and does nobody else?"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import psutil
import pytest
from litestar.connection import ASGIConnection
from prometheus_client.parser import text_string_to_metric_families

from app import __version__
from app.keys.vault import key_id
from app.metrics.controller import is_from_here
from app.settings import Settings
from tests.accounts.bodies import assert_problem, assert_unauthenticated
from tests.cast import Person, bearer
from tests.conftest import SECRET, admin, new_database, running_app
from tests.locks import bound
from tests.processes import running_process

TOKEN = "a-token-for-prometheus"
WORKERS = 2
DASHBOARD = json.loads(Path("deploy/grafana/service.json").read_text(encoding="utf-8"))
OPERATING = Path("docs/operate.md").read_text(encoding="utf-8")
SPENDING = json.loads(Path("deploy/grafana/spending.json").read_text(encoding="utf-8"))

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Served(msgspec.Struct):
    """A server of several processes after some work."""

    client: httpx.AsyncClient
    pid: int

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes that answer."""
        return psutil.Process(self.pid).children()


async def scraped(client: httpx.AsyncClient, **headers: str) -> Samples:
    """By name and labels. On a connection of its own, so that any of the processes may answer."""
    answer = await client.get("/metrics", headers={"Connection": "close", **headers}, timeout=2)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(answer.text))
    names = [family.name for family in families]
    assert len(set(names)) == len(names)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """The sum of all samples that have these labels."""
    return sum(number for (found, own), number in samples.items() if found == name and own >= set(labels.items()))


@pytest.fixture(scope="module")
async def served(
    server_url: str, template: str, password_hash: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Served]:
    log: Path = tmp_path_factory.mktemp("served") / "log"
    async with (
        new_database(server_url, template) as url,
        admin(url) as connection,
        running_process(url, log, WORKERS=str(WORKERS), PUBLIC_RATE_LIMIT="30/hour") as (client, process),
    ):
        alice = await Person.is_there(client, connection, "alice@example.com", password_hash, SECRET)
        token = (await alice.creates_token())["token"]
        async with httpx.AsyncClient(base_url=client.base_url, trust_env=False) as another:
            for one in (client, another):
                answers = [one.get("/api/v1/token", headers=bearer(token)) for _ in range(20)]
                await asyncio.gather(*answers)
        wrong = {"email": alice.email, "password": "not it, not it"}
        await client.post("/api/auth/login", json=wrong)
        await client.get("/nowhere")
        await client.request("BREW", "/livez")
        # there is no OpenRouter here: the reading fails, which is an outcome too
        sql = (
            "INSERT INTO openrouter_keys (user_id, name, kind, hash, secret, next_sync_at)"
            " VALUES ($1, 'k', 'inference', 'h', $2, now() - interval '1 hour')"
        )
        await connection.execute(sql, alice.id, b"\x01" + key_id(SECRET) + bytes(60))
        for _ in range(100):
            if value(await scraped(client), "watcher_sync_duration_seconds_count"):
                break
            await asyncio.sleep(0.2)
        yield Served(client, process.pid)


async def test_requests_are_counted_over_all_processes(served: Served) -> None:
    for _ in range(6):
        samples = await scraped(served.client)
        count = "watcher_http_request_duration_seconds_count"
        of_token = {"route": "/api/v1/token", "method": "GET"}
        assert value(samples, count, **of_token, status="200") == 30
        assert value(samples, count, **of_token, status="429") == 10
        assert value(samples, count, route="", status="404") == 1
        assert value(samples, count, method="other") == 1
        assert value(samples, "watcher_http_request_duration_seconds_bucket", **of_token, le="+Inf") == 40
        assert value(samples, "watcher_problems_total", code="wrong_credentials") == 1
        assert value(samples, "watcher_problems_total", code="rate_limit_reached") == 10


async def test_batches_the_pool_and_the_reading_are_told(served: Served) -> None:
    samples = await scraped(served.client)
    # what one worker holds the other asks for again
    asked = value(samples, "watcher_batch_size_sum", statement="authorize")
    assert 40 <= asked < 80
    assert 1 <= value(samples, "watcher_batch_size_count", statement="authorize") <= asked
    assert value(samples, "watcher_batch_duration_seconds_count", statement="authorize") >= 1
    assert value(samples, "watcher_pool_wait_seconds_count") > 10
    assert value(samples, "watcher_pool_connections_max") == WORKERS * 10
    assert 0 <= value(samples, "watcher_pool_connections_used") <= WORKERS * 10
    assert value(samples, "watcher_sync_duration_seconds_count", status="error") >= 1
    assert value(samples, "watcher_keys", status="error") == 1
    assert value(samples, "watcher_database_up") == 1
    assert value(samples, "watcher_build_info", version=__version__) == 1


async def test_what_a_dead_process_was_doing_is_forgotten_and_what_it_did_is_not(served: Served) -> None:
    before = await scraped(served.client)
    doomed = next(worker for worker in served.workers if "resource_tracker" not in " ".join(worker.cmdline()))
    doomed.kill()
    samples, seen = before, set[float]()
    async with asyncio.timeout(40):
        while seen != {(WORKERS - 1) * 10, WORKERS * 10} or len(served.workers) < WORKERS:
            await asyncio.sleep(0.1)
            try:
                samples = await scraped(served.client)
            except httpx.TransportError:
                continue  # it went to the one that is no more
            seen.add(value(samples, "watcher_pool_connections_max"))
    for name in ("watcher_batch_size_sum", "watcher_problems_total"):
        assert value(samples, name) >= value(before, name) > 0


def expressions(dashboard: Any) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def assert_known(expression: str, prefix: str, known: dict[str, set[str]]) -> None:
    """Each metric is there, with each label that it is chosen or summed by."""
    names = re.findall(rf"\b{prefix}_\w+", expression)
    assert names
    assert set(names) <= known.keys(), expression
    chosen = re.findall(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"", expression)
    grouped = [label.strip() for group in re.findall(r"\bby\s*\(([^)]*)\)", expression) for label in group.split(",")]
    for name in names:
        assert {*chosen, *grouped} <= known[name], (expression, name)


async def test_dashboard_shows_what_is_there(served: Served) -> None:
    known: dict[str, set[str]] = {}
    for name, labels in await scraped(served.client):
        known.setdefault(name, set()).update(label for label, _ in labels)
    # without incidents it has no samples yet: it is told where it is counted
    known["watcher_database_failures_total"] = {"reason"}
    for expression in expressions(DASHBOARD):
        assert_known(expression, "watcher", known)
    shown = {name for expression in expressions(DASHBOARD) for name in re.findall(r"watcher_\w+", expression)}
    families = {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in known}
    assert families == {re.sub(r"_(bucket|count|sum|created)$", "", name) for name in shown}
    assert [name for name in families if f"`{name}`" not in OPERATING] == []


def test_dashboard_of_spending_shows_what_is_documented() -> None:
    documentation = Path("docs/api.md").read_text(encoding="utf-8")
    assert all(name in documentation for e in expressions(SPENDING) for name in re.findall(r"openrouter_\w+", e))


# --- what the database does not do


async def test_failures_of_the_database_are_counted_by_reason(
    settings: Settings, connection: asyncpg.Connection, alice: Person
) -> None:
    await bound(connection, "lock_timeout", "50ms")
    async with running_app(msgspec.structs.replace(settings, max_api_tokens_per_user=7)) as client:
        before = value(await scraped(client), "watcher_database_failures_total", reason="lock_timeout")
        async with connection.transaction():
            await connection.execute("LOCK TABLE users")
            answer = await client.post("/api/tokens", json={"name": "x"}, headers=alice.headers)
            assert answer.status_code == 503
        after = await scraped(client)
    assert value(after, "watcher_database_failures_total", reason="lock_timeout") == before + 1
    assert value(after, "watcher_pool_connections_used") == 0  # all are back


# --- for whom


async def test_metrics_are_for_the_machine_itself(settings: Settings) -> None:
    async with running_app(settings) as here, running_app(settings, "203.0.113.7") as elsewhere:
        await scraped(here)
        assert_problem(await elsewhere.get("/metrics"), 403, "forbidden")
        assert_problem(await elsewhere.get("/metrics", headers=bearer(TOKEN)), 403, "forbidden")
        for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Via"):
            assert_problem(await here.get("/metrics", headers={header: "127.0.0.1"}), 403, "forbidden")


async def test_from_elsewhere_they_need_the_token(settings: Settings) -> None:
    with_token = msgspec.structs.replace(settings, metrics_token=TOKEN)
    async with running_app(with_token) as here, running_app(with_token, "203.0.113.7") as elsewhere:
        await scraped(here)
        for client in (here, elsewhere):
            await scraped(client, **bearer(TOKEN), **{"X-Forwarded-For": "203.0.113.8"})
            assert_unauthenticated(await client.get("/metrics", headers=bearer(f"{TOKEN}x")), credential_sent=True)
        assert_unauthenticated(await elsewhere.get("/metrics"), credential_sent=False)
        forwarded = await here.get("/metrics", headers={"Forwarded": "for=127.0.0.1"})
        assert_unauthenticated(forwarded, credential_sent=False)


def test_who_has_no_address_or_an_odd_one_is_not_on_this_machine() -> None:
    for client, is_here in ((("127.0.0.1", 1), True), (("::1", 1), True), (("localhost", 1), False), (None, False)):
        scope: Any = {"type": "http", "client": client, "headers": []}
        assert is_from_here(ASGIConnection(scope)) == is_here
