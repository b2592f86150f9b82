"""One account at the simulated OpenRouter, at noon of a Wednesday."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

import httpx
import pytest

from app.simulator.clock import Clock
from app.simulator.server import Simulator, serving
from app.simulator.world import Account, Key, World

NOON = datetime(2026, 11, 11, 12, tzinfo=UTC)


@pytest.fixture
async def simulator() -> AsyncGenerator[Simulator]:
    clock = Clock(NOON)
    clock.freeze()
    async with serving(World(clock, seed=3)) as running:
        running.world.add_account()
        yield running


@pytest.fixture
def account(simulator: Simulator) -> Account:
    return simulator.world.accounts[0]


@pytest.fixture
def manager(account: Account) -> Key:
    return account.add_management_key("admin")


@pytest.fixture
async def http(simulator: Simulator) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=simulator.base_url, trust_env=False, timeout=5) as client:
        yield client


def bearer(key: Key) -> dict[str, str]:
    return {"Authorization": f"Bearer {key.secret}"}
