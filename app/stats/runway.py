"""For how many days will an account's credits last, at the pace of the last weeks? Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Context, Decimal

import msgspec

from app.keys.structs import KeyEntry
from app.stats.structs import KeyFigures

_PRECISE = Context(prec=30)


class Runway(msgspec.Struct, frozen=True):
    """What is left in the account of a management key, in US dollars. `days` None: at this pace, for ever; or none is known."""

    key_id: int
    key_name: str
    left: Decimal
    as_of: datetime | None
    cost_per_day: Decimal | None
    days: int | None


def runways(keys: Sequence[KeyEntry], by_key: Sequence[KeyFigures], completed_days: int) -> list[Runway]:
    """One for each account whose balance is known.

    `by_key`: what the last `completed_days` have cost, of all keys. Usage that belongs to no key counts where there is one
    account: of several nobody knows whose it is.
    """
    accounts = [key for key in keys if key.account is not None]
    costs = {figures.api_key_id: figures.cost or Decimal(0) for figures in by_key}
    of_no_key = costs.get(None, Decimal(0)) if len(accounts) == 1 else Decimal(0)
    found: list[Runway] = []
    for account in accounts:
        of_keys = [costs.get(key.id, Decimal(0)) for key in keys if key.managed_by == account.id]
        found.append(_runway(account, sum(of_keys, of_no_key), completed_days))
    return found


def _runway(manager: KeyEntry, cost: Decimal, completed_days: int) -> Runway:
    assert manager.account is not None  # noqa: S101 -- chosen by it
    left = manager.account.left
    per_day = _PRECISE.divide(cost, Decimal(completed_days)) if completed_days else None
    days = int(_PRECISE.divide(max(left, Decimal(0)), per_day)) if per_day and per_day > 0 else None
    return Runway(manager.id, manager.name, left, manager.account.as_of, per_day, days)
