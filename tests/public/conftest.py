"""Programs."""

from __future__ import annotations

import pytest

from tests.cast import Person
from tests.readers import Reader


@pytest.fixture
async def reader(alice: Person) -> Reader:
    """A program of Alice's, who has nothing yet."""
    return await Reader.of(alice, "/api/v1")
