"""One service, one simulated OpenRouter and one browser for all tests of the pages; each test has accounts of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from playwright.async_api import Browser

from app.simulator.server import Simulator, serving
from app.simulator.world import Account, World
from tests import cast
from tests.conftest import SECRET, admin, new_database
from tests.processes import PROJECT, running_server
from tests.web.browsing import Person, running_browser
from tests.web.chromium import lacking

EXPORT = PROJECT / "tests" / "data" / "activity-export-2026-08-24.csv"


class Service(msgspec.Struct):
    """The real process, and what is around it."""

    client: httpx.AsyncClient
    simulator: Simulator
    connection: asyncpg.Connection

    @property
    def url(self) -> str:
        """Where browsers find it."""
        return str(self.client.base_url).rstrip("/")

    @property
    def world(self) -> World:
        """What OpenRouter knows."""
        return self.simulator.world


Arrive = Callable[..., Coroutine[Any, Any, Person]]


@pytest.fixture(scope="session")
async def service(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Service]:
    """`python -m app run` on a database of its own, with OpenRouter simulated."""
    log = tmp_path_factory.mktemp("service") / "log"
    async with (
        new_database(server_url, template) as url,
        serving(World(seed=3)) as simulator,
        running_server(url, log, OPENROUTER_BASE_URL=simulator.base_url) as client,
        admin(url) as connection,
    ):
        yield Service(client, simulator, connection)
    mistakes = [line for line in log.read_text(encoding="utf-8").splitlines() if "unexpected error" in line]
    assert mistakes == []


@pytest.fixture(scope="session")
async def browser() -> AsyncGenerator[Browser]:
    """Chromium, where there is one."""
    if reason := lacking():
        pytest.skip(reason)
    async with running_browser() as browser:
        yield browser


@pytest.fixture
async def arrive(browser: Browser, service: Service) -> AsyncGenerator[Arrive]:
    """Somebody sits down at a browser; in the end none of them may have met with anything that should not happen."""
    people: list[Person] = []

    async def sit_down(**options: Any) -> Person:
        person = await Person.sits_down(browser, service.url, **options)
        people.append(person)
        return person

    yield sit_down
    for person in people:
        await person.leaves()


class Owner(msgspec.Struct):
    """Somebody with an account, keys at OpenRouter, and a year of usage by a management key."""

    api: cast.Person
    account: Account

    @property
    def email(self) -> str:
        """With which they sign in."""
        return self.api.email


async def newcomer(service: Service, name: str, password_hash: str) -> cast.Person:
    """An account without anything."""
    email = f"{name}@example.com"
    return await cast.Person.is_there(service.client, service.connection, email, password_hash, SECRET)


async def make_owner(service: Service, email: str, password_hash: str, days: int = 40) -> Owner:
    """Made through the API, so that the browser need not."""
    api = await cast.Person.is_there(service.client, service.connection, email, password_hash, SECRET)
    account = service.world.add_account()
    for name in ("website", "support bot"):
        account.add_key(name)
    account.generate(days, per_day=6)
    manager = account.add_management_key("admin")
    added = await api.post("/api/keys", {"name": "company account", "key": manager.secret})
    assert added.status_code == 201, added.text
    await api.post(f"/api/keys/{added.json()['id']}/sync")
    return Owner(api, account)


@pytest.fixture(scope="session")
async def owner(service: Service, password_hash: str) -> Owner:
    """For tests that look and change nothing."""
    return await make_owner(service, "owner@example.com", password_hash)
