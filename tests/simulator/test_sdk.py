"""Does OpenRouter's own SDK, which we did not write, understand every answer of the simulator?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from openrouter import OpenRouter, errors
from openrouter.utils import BackoffStrategy, RetryConfig

from app.simulator.server import Simulator
from app.simulator.world import Account, Key

# the SDK says so of fields that OpenRouter has deprecated
pytestmark = pytest.mark.filterwarnings("ignore:.*DEPRECATED.*:DeprecationWarning")

T = TypeVar("T")
ONCE = RetryConfig("none", BackoffStrategy(1, 1, 1, 1), retry_connection_errors=False)


async def ask(simulator: Simulator, key: Key, question: Callable[[OpenRouter], T]) -> T:
    """The SDK blocks; the simulator answers in the meantime."""

    def asking() -> T:
        with OpenRouter(api_key=key.secret, server_url=simulator.base_url, retry_config=ONCE) as client:
            return question(client)

    return await asyncio.to_thread(asking)


async def test_own_key_of_both_kinds(simulator: Simulator, account: Account, manager: Key) -> None:
    key = account.add_key("prod", limit=Decimal(5), limit_reset="weekly")
    account.spend(key, Decimal("0.25"), byok_cost=Decimal("0.5"))
    data = (await ask(simulator, key, lambda client: client.api_keys.get_current_key_metadata())).data
    assert (data.label, data.is_management_key, data.is_provisioning_key) == (key.label, False, False)
    assert (data.usage, data.usage_daily, data.usage_monthly, data.byok_usage) == (0.25, 0.25, 0.25, 0.5)
    assert (data.limit, data.limit_remaining, data.limit_reset) == (5, 4.75, "weekly")
    assert data.effective_budget
    assert data.effective_budget.remaining_usd == 4.75
    data = (await ask(simulator, manager, lambda client: client.api_keys.get_current_key_metadata())).data
    assert (data.is_management_key, data.usage, data.limit, data.effective_budget) == (True, 0, None, None)


async def test_keys_in_pages(simulator: Simulator, account: Account, manager: Key) -> None:
    keys = [account.add_key(f"key {number}") for number in range(150)]
    pages = [
        (await ask(simulator, manager, lambda client, offset=offset: client.api_keys.list(offset=offset))).data
        for offset in (0, 100, 200)
    ]
    assert [len(page) for page in pages] == [100, 50, 0]
    assert [row.hash for page in pages for row in page] == [key.hash for key in reversed(keys)]


async def test_keys_are_made_changed_and_deleted(simulator: Simulator, manager: Key) -> None:
    def manage(client: OpenRouter) -> None:
        created = client.api_keys.create(name="new", limit=3, limit_reset="monthly")
        assert created.key.startswith("sk-or-v1-")
        key_hash = created.data.hash
        assert client.api_keys.update(hash=key_hash, name="newer", limit=None, disabled=True).data.limit is None
        found = client.api_keys.get(hash=key_hash).data
        assert (found.name, found.disabled) == ("newer", True)
        assert client.api_keys.delete(hash=key_hash).DELETED
        with pytest.raises(errors.NotFoundResponseError):
            client.api_keys.get(hash=key_hash)

    await ask(simulator, manager, manage)


async def test_credits(simulator: Simulator, account: Account, manager: Key) -> None:
    account.spend(account.add_key("prod"), Decimal("12.5"))
    data = (await ask(simulator, manager, lambda client: client.credits.get_credits())).data
    assert (data.total_credits, data.total_usage) == (100, 12.5)


async def test_activity_with_every_filter(simulator: Simulator, account: Account, manager: Key) -> None:
    key = account.add_key("prod")
    account.generate(10, per_day=10)

    async def activity(**query: Any) -> list[Any]:
        return (await ask(simulator, manager, lambda client: client.analytics.get_user_activity(request=query))).data

    rows = await activity()
    assert len(rows) > len(await activity(api_key_hash=key.hash)) > 0
    assert {row.date_ for row in await activity(date_="2026-11-09")} <= {"2026-11-09 00:00:00"}
    workspace = account.workspaces[0].id
    assert len(await activity(workspace_id=workspace)) == len(rows)
    assert {row.workspace_id for row in await activity(group_by="workspace")} == {workspace}
    assert await activity(user_id="user_nobody") == []


async def test_workspaces(simulator: Simulator, account: Account, manager: Key) -> None:
    account.add_workspace("Research")
    answer: Any = await ask(simulator, manager, lambda client: client.workspaces.list())
    assert [workspace.name for workspace in answer.result.data] == ["Default", "Research"]


async def test_analytics(simulator: Simulator, account: Account, manager: Key) -> None:
    """The rows are lost in the SDK by its own fault; the rest is read."""
    account.generate(5)
    meta = await ask(simulator, manager, lambda client: client.analytics.get_analytics_meta())
    names = [metric.name for metric in meta.data.metrics]
    answer = await ask(
        simulator,
        manager,
        lambda client: client.analytics.query_analytics(metrics=names, dimensions=["model"], granularity="day"),
    )
    assert answer.data.metadata.row_count == len(answer.data.data) > 0
    assert not answer.data.metadata.truncated


@pytest.mark.parametrize(
    ("question", "error", "message"),
    [
        (
            lambda client: client.credits.get_credits(),
            errors.ForbiddenResponseError,
            "Only management keys can perform",
        ),
        (
            lambda client: client.analytics.get_user_activity(request={}),
            errors.ForbiddenResponseError,
            "Only management keys can fetch activity",
        ),
        (lambda client: client.workspaces.list(), errors.UnauthorizedResponseError, "Invalid management key"),
        (lambda client: client.api_keys.list(), errors.UnauthorizedResponseError, "Invalid management key"),
    ],
)
async def test_inference_key_is_turned_away_as_the_sdk_knows_it(
    simulator: Simulator, account: Account, question: Callable[[OpenRouter], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await ask(simulator, account.add_key("prod"), question)


async def test_unknown_key_is_unauthorized(simulator: Simulator, account: Account) -> None:
    key = account.add_key("prod")
    account.delete_key(key)
    with pytest.raises(errors.UnauthorizedResponseError, match="User not found"):
        await ask(simulator, key, lambda client: client.api_keys.get_current_key_metadata())
