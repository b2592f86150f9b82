"""How does the simulated OpenRouter answer a request? Source: its OpenAPI description, its SDK and what people have observed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from app.simulator import answers, usage
from app.simulator.answers import Answer, Refusal, error
from app.simulator.world import Account, Key, Workspace, World

WORKSPACES_PAGE, WORKSPACES_PAGE_MAX = 50, 100
RATE_LIMIT = {"requests": -1, "interval": "10s", "note": "This field is deprecated and safe to ignore."}
FREE_REQUESTS_MAX = 1000  # a day, of an account that has bought credits
RESETS = (None, "daily", "weekly", "monthly")


class Request(msgspec.Struct):
    """One request, by whom it was sent."""

    world: World
    account: Account
    key: Key
    query: Mapping[str, str]
    body: bytes
    path: str

    @property
    def now(self) -> datetime:
        """By the simulated clock."""
        return self.world.clock.now()

    def json(self) -> dict[str, Any]:
        """The body. Refused when it is no JSON object."""
        try:
            return msgspec.json.decode(self.body, type=dict[str, Any])
        except msgspec.DecodeError:
            raise Refusal(400, answers.BAD_REQUEST) from None

    def number(self, name: str, default: int) -> int:
        """A whole number from the query."""
        text = self.query.get(name, str(default))
        if not re.fullmatch("[0-9]{1,9}", text, re.ASCII):
            raise Refusal(400, answers.BAD_REQUEST)
        return int(text)

    def workspace(self) -> Workspace | None:
        """That of the query, the default one, or None where there is no such workspace."""
        wanted = self.query.get("workspace_id")
        if wanted is None:
            return self.account.workspaces[0]
        return next((found for found in self.account.workspaces if found.id == wanted), None)


def answer(world: World, method: str, path: str, query: Mapping[str, str], secret: str | None, body: bytes) -> Answer:
    """`path` is what comes after /api/v1."""
    found = world.find(secret or "")
    if found is None:
        return error(401, answers.NO_CREDENTIAL if secret is None else answers.UNKNOWN_KEY)
    try:
        for (known_method, pattern), (handler, refusal) in _ROUTES.items():
            if known_method == method and re.fullmatch(pattern, path):
                if refusal is not None and not found[1].is_management:
                    return refusal
                return handler(Request(world, *found, query, body, path))
        return error(404, answers.NOT_FOUND)
    except Refusal as refusal:
        return refusal.answer


# --- keys


def _own_key(request: Request) -> Answer:
    key, now = request.key, request.now
    data = _counters(request, key) | {
        "label": key.label,
        "is_free_tier": False,
        "is_management_key": key.is_management,
        "is_provisioning_key": key.is_management,
        "creator_user_id": key.creator_user_id,
        "rate_limit": RATE_LIMIT,
        "expires_at": _moment(key.expires_at),
    }
    if not request.world.options.older_schema:
        data |= {
            "organization_id": None,
            "workspace_id": key.workspace.id,
            "allowed_data_regions": ["global"],
            "free_model_daily_requests": _free_requests(request),
            "budgets": _budgets(data, now),
            "effective_budget": next(iter(_budgets(data, now)), None),
        }
    return Answer(200, {"data": data}, {"Cache-Control": "private, no-store"})


def _counters(request: Request, key: Key) -> dict[str, Any]:
    """The windows roll by the clock; what was used becomes known after the lag."""
    now = request.now
    until = now - timedelta(seconds=request.world.options.counter_lag_seconds)
    today = now.date()
    starts = {
        "": None,
        "_daily": today,
        "_weekly": today - timedelta(days=today.weekday()),
        "_monthly": today.replace(day=1),
    }
    used = {suffix: request.account.used(key, until, since) for suffix, since in starts.items()}
    counters: dict[str, Any] = {f"usage{suffix}": cost for suffix, (cost, _) in used.items()}
    counters |= {f"byok_usage{suffix}": byok for suffix, (_, byok) in used.items()}
    spent, byok = used["" if key.limit_reset is None else f"_{key.limit_reset}"]
    window = spent + (byok if key.include_byok_in_limit else 0)
    return counters | {
        "limit": key.limit,
        "limit_remaining": None if key.limit is None else key.limit - window,
        "limit_reset": key.limit_reset,
        "include_byok_in_limit": key.include_byok_in_limit,
    }


def _free_requests(request: Request) -> dict[str, int]:
    """Of the whole account today."""
    until = request.now - timedelta(seconds=request.world.options.free_quota_lag_seconds)
    used = request.account.free_requests(request.now.date(), until)
    return {"limit": FREE_REQUESTS_MAX, "used": used, "remaining": max(FREE_REQUESTS_MAX - used, 0)}


def _budgets(data: Mapping[str, Any], now: datetime) -> list[dict[str, Any]]:
    if data["limit"] is None:
        return []
    return [
        {
            "scope": "key_limit",
            "limit_usd": data["limit"],
            "spend_usd": data["limit"] - data["limit_remaining"],
            "remaining_usd": data["limit_remaining"],
            "reset_interval": data["limit_reset"],
            "resets_at": _resets_at(data["limit_reset"], now.date()),
            "include_byok": data["include_byok_in_limit"],
            "budget_id": None,
            "guardrail_id": None,
        }
    ]


def _resets_at(interval: str | None, today: date) -> str | None:
    ends = {
        "daily": today + timedelta(days=1),
        "weekly": today + timedelta(days=7 - today.weekday()),
        "monthly": (today.replace(day=1) + timedelta(days=32)).replace(day=1),
    }
    return None if interval is None else f"{ends[interval]}T00:00:00.000Z"


def _listed(request: Request, key: Key) -> dict[str, Any]:
    data = _counters(request, key) | {
        "hash": key.hash,
        "name": key.name,
        "label": key.label,
        "disabled": key.disabled,
        "created_at": _moment(key.created_at),
        "updated_at": _moment(key.updated_at),
        "creator_user_id": key.creator_user_id,
        "workspace_id": key.workspace.id,
        "expires_at": _moment(key.expires_at),
    }
    if not request.world.options.older_schema:
        data |= {"external_user": None, "last_used_at": _moment(request.account.last_used_at(key, request.now))}
    return data


def _list_keys(request: Request) -> Answer:
    workspace, offset = request.workspace(), request.number("offset", 0)
    shown = [
        key
        for key in request.account.keys
        if not key.is_management
        and key.workspace == workspace
        and (not key.disabled or request.query.get("include_disabled") == "true")
        and (key.expires_at is None or key.expires_at > request.now or request.query.get("include_expired") == "true")
    ]
    page = shown[::-1][offset : offset + request.world.options.page_size]  # the newest first
    return Answer(200, {"data": [_listed(request, key) for key in page]})


def _key_of_path(request: Request) -> Key:
    key = request.account.find(request.path.split("/")[2])
    if key is None:
        raise Refusal(404, answers.NO_RESOURCE)
    return key


def _get_key(request: Request) -> Answer:
    return Answer(200, {"data": _listed(request, _key_of_path(request))})


def _create_key(request: Request) -> Answer:
    body = request.json()
    name, reset, limit = body.get("name"), body.get("limit_reset"), body.get("limit")
    if not isinstance(name, str) or not name or reset not in RESETS or not _is_limit(limit):
        raise Refusal(400, answers.BAD_REQUEST)
    wanted = body.get("workspace_id")
    workspace = next((found for found in request.account.workspaces if wanted in {None, found.id}), None)
    if workspace is None:
        raise Refusal(404, answers.NO_RESOURCE)
    key = request.account.add_key(
        name,
        workspace=workspace,
        limit=None if limit is None else Decimal(str(limit)),
        limit_reset=reset,
        include_byok_in_limit=body.get("include_byok_in_limit") is True,
        expires_at=_parsed(body.get("expires_at")),
    )
    return Answer(201, {"data": _listed(request, key), "key": key.secret})


def _update_key(request: Request) -> Answer:
    key, body = _key_of_path(request), request.json()
    if body.get("limit_reset") not in RESETS or not _is_limit(body.get("limit")):
        raise Refusal(400, answers.BAD_REQUEST)
    if "name" in body:
        key.name = str(body["name"])
    if "disabled" in body:
        key.disabled = body["disabled"] is True
    if "limit" in body:
        key.limit = None if body["limit"] is None else Decimal(str(body["limit"]))
    if "limit_reset" in body:
        key.limit_reset = body["limit_reset"]
    if "include_byok_in_limit" in body:
        key.include_byok_in_limit = body["include_byok_in_limit"] is True
    key.updated_at = request.now
    return Answer(200, {"data": _listed(request, key)})


def _delete_key(request: Request) -> Answer:
    request.account.delete_key(_key_of_path(request))
    return Answer(200, {"deleted": True})


def _is_limit(limit: object) -> bool:
    return limit is None or (isinstance(limit, int | float) and not isinstance(limit, bool) and limit >= 0)


# --- the account


def _credits(request: Request) -> Answer:
    mode = request.world.options.credits_for_inference
    if not request.key.is_management:
        if mode == "403":
            raise Refusal(403, answers.NOT_MANAGEMENT)
        if mode == "zeros":
            return Answer(200, {"data": {"total_credits": 0, "total_usage": 0}})
    until = request.now - timedelta(seconds=request.world.options.credits_lag_seconds)
    used = sum((record.cost for record in request.account.known(until)), Decimal(0))
    return Answer(200, {"data": {"total_credits": request.account.credits, "total_usage": used}})


def _workspaces(request: Request) -> Answer:
    if not request.world.options.workspaces_available:
        raise Refusal(404, answers.NOT_FOUND)
    offset, limit = request.number("offset", 0), request.number("limit", WORKSPACES_PAGE)
    if not 1 <= limit <= WORKSPACES_PAGE_MAX:
        raise Refusal(400, answers.BAD_REQUEST)
    found = request.account.workspaces
    page = [
        {
            "id": workspace.id,
            "name": workspace.name,
            "slug": workspace.name.lower().replace(" ", "-"),
            "description": None,
            "created_at": _moment(workspace.created_at),
            "created_by": request.account.user_id,
            "updated_at": None,
            "default_guardrail_id": workspace.id,
            "default_image_model": None,
            "default_provider_sort": None,
            "default_text_model": None,
            "io_logging_api_key_ids": None,
            "io_logging_sampling_rate": 1,
            "is_data_discount_logging_enabled": True,
            "is_observability_broadcast_enabled": False,
            "is_observability_io_logging_enabled": False,
            "include_byok_in_budgets": False,
        }
        for workspace in found[offset : offset + limit]
    ]
    return Answer(200, {"data": page, "total_count": len(found)})


def _activity(request: Request) -> Answer:
    return usage.activity(request.world, request.account, request.query)


def _analytics_meta(_: Request) -> Answer:
    return usage.analytics_meta()


def _analytics_query(request: Request) -> Answer:
    return usage.analytics_query(request.world, request.account, request.json())


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _parsed(text: object) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        raise Refusal(400, answers.BAD_REQUEST) from None


# what an inference key is told
_KEYS_ONLY = error(401, answers.NOT_MANAGEMENT_KEYS)
_ACTIVITY_ONLY = error(403, answers.NOT_MANAGEMENT_ACTIVITY)
_ONLY = error(403, answers.NOT_MANAGEMENT)

_ROUTES: dict[tuple[str, str], tuple[Callable[[Request], Answer], Answer | None]] = {
    ("GET", "/key|/auth/key"): (_own_key, None),
    ("GET", "/keys/?"): (_list_keys, _KEYS_ONLY),
    ("POST", "/keys/?"): (_create_key, _KEYS_ONLY),
    ("GET", "/keys/[^/]+"): (_get_key, _KEYS_ONLY),
    ("PATCH", "/keys/[^/]+"): (_update_key, _KEYS_ONLY),
    ("DELETE", "/keys/[^/]+"): (_delete_key, _KEYS_ONLY),
    ("GET", "/credits"): (_credits, None),
    ("GET", "/workspaces"): (_workspaces, _KEYS_ONLY),
    ("GET", "/activity"): (_activity, _ACTIVITY_ONLY),
    ("GET", "/analytics/meta"): (_analytics_meta, _ONLY),
    ("POST", "/analytics/query"): (_analytics_query, _ONLY),
}
