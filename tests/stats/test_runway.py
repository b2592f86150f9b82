"""For how many days do credits last? By what the account's own keys have cost lately."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from app.keys.structs import Account, KeyEntry
from app.stats.runway import runways
from app.stats.structs import KeyFigures


def key(key_id: int, **fields: Any) -> KeyEntry:
    row: dict[str, Any] = dict.fromkeys(KeyEntry.__struct_fields__) | {
        "id": key_id, "name": f"key {key_id}", "kind": "inference", "has_secret": True, "is_active": True,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC), "sync_status": "ok", "timezone": "UTC",
    }  # fmt: skip
    return msgspec.convert(row | fields, KeyEntry)


def manager(key_id: int, left: str) -> KeyEntry:
    return key(
        key_id, kind="management", account=Account(Decimal(100), Decimal(100) - Decimal(left), Decimal(left), None)
    )


def cost(key_id: int | None, amount: str) -> KeyFigures:
    return KeyFigures(
        api_key_id=key_id, api_key_name=None, cost=Decimal(amount), byok_cost=None, requests=None, tokens_input=None,
        tokens_output=None, tokens_reasoning=None, tokens_cached=None,
    )  # fmt: skip


def test_pace_is_of_the_account_s_keys_and_of_what_has_no_key() -> None:
    keys = [manager(1, "50"), key(2, managed_by=1), key(3, managed_by=1), key(4)]
    (runway,) = runways(keys, [cost(2, "10"), cost(3, "14"), cost(4, "1000"), cost(None, "4")], 28)
    assert runway.cost_per_day == 1
    assert runway.days == 50


def test_each_of_several_accounts_has_its_own_pace() -> None:
    keys = [manager(1, "50"), manager(2, "10"), key(3, managed_by=1), key(4, managed_by=2)]
    first, second = runways(keys, [cost(3, "28"), cost(4, "14"), cost(None, "999")], 28)
    assert (first.days, second.days) == (50, 20)


def test_nothing_spent_lasts_for_ever_and_nothing_left_not_at_all() -> None:
    (idle,) = runways([manager(1, "50")], [], 28)
    assert (idle.cost_per_day, idle.days) == (0, None)
    (empty,) = runways([manager(1, "-3"), key(2, managed_by=1)], [cost(2, "28")], 28)
    assert empty.days == 0


def test_without_a_completed_day_there_is_no_pace() -> None:
    (runway,) = runways([manager(1, "50")], [], 0)
    assert (runway.cost_per_day, runway.days) == (None, None)


def test_keys_without_an_account_have_no_runway() -> None:
    assert runways([key(1), key(2)], [cost(1, "5")], 28) == []
