"""What does the simulated OpenRouter tell of an account's usage? Activity, and the analytics queries with all their quirks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from app.simulator import answers
from app.simulator.answers import Answer, Refusal
from app.simulator.world import Account, Cell, Record, World

DAYS_KEPT = 30

# --- activity


def activity(world: World, account: Account, query: Mapping[str, str]) -> Answer:
    """The last 30 completed days, one row for each day, model and endpoint; the rows do not carry the key."""
    now = world.clock.now()
    today = now.date()
    first, last = today - timedelta(days=DAYS_KEPT), today - timedelta(days=1)
    if "date" in query:
        first = last = _completed_day(query["date"], first, last)
    if "api_key_hash" in query and account.find(query["api_key_hash"]) is None:
        match world.options.deleted_keys_activity:
            case "404":
                raise Refusal(404, answers.NO_RESOURCE)
            case "empty":
                return Answer(200, {"data": []})
            case "rows":
                pass
    cells: dict[tuple[date, str, str], tuple[Record, Cell]] = {}
    for record in account.known(now - timedelta(seconds=world.options.activity_lag_seconds)):
        if first <= record.day <= last and _is_meant(account, record, query):
            place = (record.day, record.endpoint_id, record.workspace_id if "group_by" in query else "")
            cells.setdefault(place, (record, Cell()))[1].add(record)
    return Answer(200, {"data": [_row(world, record, cell, query) for record, cell in cells.values()]})


def _completed_day(text: str, first: date, last: date) -> date:
    try:
        day = date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        day = None
    if day is None or not first <= day <= last:
        raise Refusal(400, answers.BAD_DATE)
    return day


def _is_meant(account: Account, record: Record, query: Mapping[str, str]) -> bool:
    return (
        query.get("api_key_hash") in {None, record.key_hash}
        and query.get("workspace_id") in {None, record.workspace_id}
        and query.get("user_id") in {None, account.user_id}
    )


def _row(world: World, record: Record, cell: Cell, query: Mapping[str, str]) -> dict[str, Any]:
    suffix = " 00:00:00" if world.options.activity_date_format == "timestamp" else ""
    row: dict[str, Any] = {
        "date": f"{record.day}{suffix}",
        "model": record.model,
        "model_permaslug": record.permaslug,
        "endpoint_id": record.endpoint_id,
        "provider_name": record.provider,
        "usage": cell.cost,
        "byok_usage_inference": cell.byok_cost,
        "requests": cell.requests,
        "prompt_tokens": cell.prompt_tokens,
        "completion_tokens": cell.completion_tokens,
        "reasoning_tokens": cell.reasoning_tokens,
    }
    if not world.options.older_schema:
        row["cached_tokens"] = cell.cached_tokens
    return row | ({"workspace_id": record.workspace_id} if "group_by" in query else {})


# --- analytics

CALLS_PER_MINUTE = 64
ROWS_DEFAULT, ROWS_MAX = 1000, 10_000
DIMENSIONS_MAX = 2
DAYS_MAX, DETAILED_DAYS_MAX = 367, 31
DETAILED = {"provider"}

# counts go out as strings, money as numbers
METRICS: dict[str, Callable[[Cell], Any]] = {
    "request_count": lambda cell: str(cell.requests),
    "total_usage": lambda cell: cell.cost + cell.byok_cost,
    "credits_usage": lambda cell: cell.cost,
    "byok_usage": lambda cell: cell.byok_cost,
    "tokens_total": lambda cell: str(cell.prompt_tokens + cell.completion_tokens),
    "tokens_prompt": lambda cell: str(cell.prompt_tokens),
    "tokens_completion": lambda cell: str(cell.completion_tokens),
    "reasoning_tokens": lambda cell: cell.reasoning_tokens,
    "cached_tokens": lambda cell: str(cell.cached_tokens),
}
DIMENSIONS = ("model", "api_key_id", "workspace", "provider")
GRANULARITIES = ("hour", "day", "week", "month")
OPERATORS = {"eq": "scalar", "in": "array"}


def analytics_meta() -> Answer:
    """What can be asked for."""
    metrics = [
        {
            "name": name,
            "display_label": name.replace("_", " ").capitalize(),
            "is_rate": False,
            "display_format": "currency" if name.endswith("usage") else "number",
        }
        for name in METRICS
    ]
    return Answer(
        200,
        {
            "data": {
                "metrics": metrics,
                "dimensions": [_named(name) for name in DIMENSIONS],
                "operators": [{"name": name, "value_type": kind} for name, kind in OPERATORS.items()],
                "granularities": [_named(name) for name in GRANULARITIES],
            }
        },
    )


def _named(name: str) -> dict[str, str]:
    return {"name": name, "display_label": name.replace("_", " ").capitalize()}


def analytics_query(world: World, account: Account, body: Mapping[str, Any]) -> Answer:
    """Sums by time and up to two dimensions, the running day included, newest first, without rows for what is not there."""
    now = world.clock.now()
    _count_call(world, now)
    metrics, dimensions = _names(body, "metrics", METRICS), _names(body, "dimensions", DIMENSIONS)
    if not metrics:
        raise Refusal(400, answers.BAD_REQUEST)
    if len(dimensions) > DIMENSIONS_MAX:
        raise Refusal(400, "dimensions: Too big: expected array to have <=2 items")
    limit = body.get("limit", ROWS_DEFAULT)
    if not isinstance(limit, int) or limit < 1:
        raise Refusal(400, answers.BAD_REQUEST)
    if limit > ROWS_MAX:
        raise Refusal(400, "limit: Too big: expected number to be <=10000")
    granularity = body.get("granularity")
    if granularity is not None and granularity not in GRANULARITIES:
        raise Refusal(400, answers.BAD_REQUEST)
    start, end = _time_range(body, now, is_detailed=granularity == "hour" or not DETAILED.isdisjoint(dimensions))
    filters = [_filter(account, given) for given in body.get("filters", [])]
    meant = (
        record
        for record in account.known(now)
        if start <= record.moment < end and all(is_meant(record) for is_meant in filters)
    )
    rows = _grouped(world, account, meant, granularity, dimensions, metrics)
    shown = rows[:limit]
    return Answer(
        200,
        {
            "data": {
                "data": shown,
                "metadata": {"query_time_ms": 12, "row_count": len(shown), "truncated": len(rows) > limit},
                "cachedAt": int(now.timestamp() * 1000),
            }
        },
    )


def _count_call(world: World, now: datetime) -> None:
    world.analytics_calls = [call for call in world.analytics_calls if now - call < timedelta(minutes=1)]
    if len(world.analytics_calls) >= CALLS_PER_MINUTE:
        raise Refusal(429, answers.TOO_MANY)
    world.analytics_calls.append(now)


def _names(body: Mapping[str, Any], field: str, known: Iterable[str]) -> list[str]:
    names = body.get(field, [])
    if not isinstance(names, list) or not all(name in known for name in names):
        raise Refusal(400, answers.BAD_REQUEST)
    return names


def _time_range(body: Mapping[str, Any], now: datetime, *, is_detailed: bool) -> tuple[datetime, datetime]:
    given = body.get("time_range")
    if given is None:
        return now - timedelta(days=7), now + timedelta(seconds=1)
    try:
        start, end = (datetime.fromisoformat(given[name]) for name in ("start", "end"))
        start, end = (moment.replace(tzinfo=moment.tzinfo or UTC) for moment in (start, end))
    except (KeyError, TypeError, ValueError):
        raise Refusal(400, answers.BAD_REQUEST) from None
    if is_detailed and end - start > timedelta(days=DETAILED_DAYS_MAX):
        raise Refusal(400, "time_range exceeds maximum of 31 days for the requested metrics/dimensions")
    if end - start > timedelta(days=DAYS_MAX):
        raise Refusal(400, "time_range exceeds maximum of 367 days")
    return start, end


def _filter(account: Account, given: Mapping[str, Any]) -> Callable[[Record], bool]:
    field, operator, value = given.get("field"), given.get("operator"), given.get("value")
    fields: dict[str, Callable[[Record], Any]] = {
        "api_key_id": lambda record: record.key_hash,
        "model": lambda record: record.permaslug,
        "workspace": lambda record: record.workspace_id,
        "provider": lambda record: record.provider,
        "user": lambda _: account.user_id,
    }
    if field not in fields or operator not in OPERATORS:
        raise Refusal(400, answers.BAD_REQUEST)
    wanted = value if isinstance(value, list) else [value]
    return lambda record: fields[field](record) in wanted


def _grouped(
    world: World,
    account: Account,
    records: Iterable[Record],
    granularity: str | None,
    dimensions: list[str],
    metrics: list[str],
) -> list[dict[str, Any]]:
    names = {key.hash: key.name for key in account.keys}
    workspaces = {workspace.id: workspace.name for workspace in account.workspaces}
    labels: dict[str, Callable[[Record], str]] = {
        "model": lambda record: record.permaslug,
        "api_key_id": lambda record: names.get(record.key_hash or "", "Chatroom"),
        "workspace": lambda record: workspaces[record.workspace_id],
        "provider": lambda record: record.provider,
    }
    cells: dict[tuple[str, ...], Cell] = defaultdict(Cell)
    for record in records:
        cells[_bucket(record.moment, granularity), *(labels[name](record) for name in dimensions)].add(record)
    column = f"{world.options.analytics_time_column}__{granularity}"
    return [
        ({column: bucket} if granularity else {})
        | dict(zip(dimensions, place, strict=True))
        | {name: METRICS[name](cell) for name in metrics}
        for (bucket, *place), cell in sorted(cells.items(), reverse=True)
    ]


def _bucket(moment: datetime, granularity: str | None) -> str:
    day = moment.date()
    match granularity:
        case "hour":
            return f"{day} {moment.hour:02}:00:00"
        case "day":
            return str(day)
        case "week":  # Sundays, as observed
            return str(day - timedelta(days=(day.weekday() + 1) % 7))
        case "month":
            return str(day.replace(day=1))
        case _:
            return ""
