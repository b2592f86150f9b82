"""What the tests of commands share."""

from __future__ import annotations

import pytest

from tests.commands.running import environment_of


@pytest.fixture
def environment(database_url: str) -> dict[str, str]:
    """Of a command that works on the test's own database."""
    return environment_of(database_url)
