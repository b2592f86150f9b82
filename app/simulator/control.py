"""How is a simulator moved by hand, or by another process? A few addresses beside OpenRouter's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from app.simulator.answers import Answer, error
from app.simulator.faults import Kind
from app.simulator.world import Options, World

BASE = "/_simulator"
LOOPBACK = re.compile(r"(localhost|127\.[0-9.]+|\[::1\])(:[0-9]+)?", re.ASCII)


class Clock(msgspec.Struct, forbid_unknown_fields=True):
    """Where to move the clock: to a moment, or on."""

    now: datetime | None = None
    advance_seconds: float = 0


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """A fault that can be written as JSON."""

    kind: Kind
    path: str | None = None
    secret: str | None = None
    times: int | None = None
    spared: int = 0
    status: int = 502
    body: str | None = None
    headers: dict[str, str] = {}
    seconds: float = 1.0
    location: str = "/"


class Spend(msgspec.Struct, forbid_unknown_fields=True):
    """Usage now: of the key with this name, or of the web chat."""

    cost: Decimal
    key: str | None = None


def answer(world: World, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """Only for callers on this machine: a page in somebody's browser is none."""
    if not LOOPBACK.fullmatch(headers.get("host", "")):
        return error(403, "Only from this machine")
    try:
        match method, path:
            case "GET", "/world":
                return Answer(200, _described(world))
            case "POST", "/clock":
                wanted = msgspec.json.decode(body, type=Clock)
                moment = wanted.now or world.clock.now()
                world.clock.set(moment.replace(tzinfo=moment.tzinfo or UTC) + timedelta(seconds=wanted.advance_seconds))
            case "POST", "/faults":
                from app.simulator import faults  # noqa: PLC0415 -- the name is taken here

                given = msgspec.json.decode(body, type=list[Fault])
                world.faults[:] = [faults.Fault(**msgspec.structs.asdict(fault)) for fault in given]
            case "POST", "/options":
                given = msgspec.json.decode(body, type=dict[str, Any])
                world.options = msgspec.convert(msgspec.structs.asdict(world.options) | given, Options)
            case "POST", "/spend":
                _spend(world, msgspec.json.decode(body, type=Spend))
            case _:
                return error(404, "Not Found")
    except (msgspec.DecodeError, StopIteration) as refusal:
        return error(400, str(refusal) or "No such key")
    return Answer(200, _described(world))


def _spend(world: World, spend: Spend) -> None:
    account = world.accounts[0]
    key = None if spend.key is None else next(key for key in account.keys if key.name == spend.key)
    account.spend(key, spend.cost)


def _described(world: World) -> dict[str, Any]:
    return {
        "now": world.clock.now().isoformat(),
        "keys": [
            {
                "name": key.name,
                "secret": key.secret,
                "hash": key.hash,
                "is_management": key.is_management,
                "workspace": key.workspace.name,
                "disabled": key.disabled,
            }
            for account in world.accounts
            for key in account.keys
        ],
    }
