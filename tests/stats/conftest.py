"""Whoever reads figures."""

from __future__ import annotations

import pytest

from tests.cast import Person
from tests.readers import BOTH, Reader


@pytest.fixture(params=BOTH)
async def reader(request: pytest.FixtureRequest, alice: Person) -> Reader:
    """Reads for Alice, who has nothing yet: she herself, and a program of hers."""
    return await Reader.of(alice, request.param)


@pytest.fixture
async def person(alice: Person) -> Reader:
    """Alice herself."""
    return await Reader.of(alice, "/api")
