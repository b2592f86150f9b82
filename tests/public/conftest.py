"""Programs, and an OpenRouter that the service knows."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx
import msgspec
import pytest

from app.settings import Settings
from app.simulator.server import Simulator
from tests.cast import Person
from tests.conftest import running_app
from tests.readers import Reader


@pytest.fixture
async def client(settings: Settings, simulator: Simulator) -> AsyncGenerator[httpx.AsyncClient]:
    """Without a scheduler: nothing is read but what the tests ask for."""
    async with running_app(msgspec.structs.replace(settings, openrouter_base_url=simulator.base_url)) as client:
        yield client


@pytest.fixture
async def reader(alice: Person) -> Reader:
    """A program of Alice's, who has nothing yet."""
    return await Reader.of(alice, "/api/v1")
