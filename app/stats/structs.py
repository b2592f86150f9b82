"""What do figures look like, in the database and on the wire? None is "not known", never 0."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Cost = Annotated[Decimal | None, Meta(description="US dollars spent from OpenRouter credits")]
ByokCost = Annotated[Decimal | None, Meta(description="US dollars spent at providers with own keys")]
Output = Annotated[int | None, Meta(description="reasoning included")]
Cached = Annotated[int | None, Meta(description="the part of the input that was read from a cache")]


class Selected(msgspec.Struct, frozen=True, kw_only=True):
    """What a selection means at a moment. `is_own_key` None: there is no such key. Ids as in the roll-ups."""

    today: date
    start_date: date
    end_date: date
    usage_version: int
    is_own_key: bool | None
    key_id: int
    model_id: int


class Totals(Selected, frozen=True, kw_only=True):
    """One row of the database: what was selected, and its sums."""

    days: int
    total_requests: int | None
    total_cost: Decimal | None
    total_byok_cost: Decimal | None
    total_tokens_input: int | None
    total_tokens_output: int | None
    total_tokens_reasoning: int | None
    total_tokens_cached: int | None
    incomplete: list[str]
    data_as_of: datetime | None


class Period(msgspec.Struct, frozen=True):
    """Whole UTC days, both ends included."""

    start_date: date
    end_date: date
    days: int
    timezone: Literal["UTC"] = "UTC"


class Summary(msgspec.Struct, frozen=True):
    """Sums over the selection. A sum is null where no part of it is known; `incomplete` names those of which some part is not."""

    total_requests: int | None
    total_cost: Cost
    total_byok_cost: ByokCost
    total_tokens_input: int | None
    total_tokens_output: Output
    total_tokens_reasoning: int | None
    total_tokens_cached: Cached
    incomplete: list[str]


class Stats(msgspec.Struct, frozen=True):
    """What a selection of usage comes to."""

    period: Period
    summary: Summary
    data_as_of: Annotated[datetime | None, Meta(description="the oldest last success among the selected keys")]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted of a part of the selection. Null is "not known", never 0."""

    cost: Cost
    byok_cost: ByokCost
    requests: int | None
    tokens_input: int | None
    tokens_output: Output
    tokens_reasoning: int | None
    tokens_cached: Cached


class DayFigures(Figures, frozen=True, kw_only=True):
    """Of a UTC day."""

    date: date


class ModelFigures(Figures, frozen=True, kw_only=True):
    """Of a model."""

    model: Annotated[str | None, Meta(description="OpenRouter's permaslug; null where it is not known")]


class KeyFigures(Figures, frozen=True, kw_only=True):
    """Of a key."""

    api_key_id: Annotated[int | None, Meta(description="null: usage that belongs to no key")]
    api_key_name: str | None


class KeyModelFigures(Figures, frozen=True, kw_only=True):
    """Of a key and a model, now and for all time."""

    api_key_id: int | None
    api_key_name: str
    model: str
    period: Literal["today", "month", "all_time"]


class DayCost(msgspec.Struct, frozen=True):
    """Dollars on a UTC day; None is not known."""

    day: date
    cost: Decimal | None


class ModelDay(msgspec.Struct, frozen=True):
    """Dollars that a model has cost on a UTC day."""

    date: date
    model: str | None
    cost: Decimal | None


class UsedKey(msgspec.Struct, frozen=True):
    """A key with usage; deleted ones keep theirs."""

    id: int
    name: str
    is_deleted: bool


class Forecast(msgspec.Struct, frozen=True):
    """What the current UTC month will have cost at its end, in US dollars. Null where there is nothing to go by."""

    month: Annotated[str, Meta(examples=["2026-11"])]
    cost: Decimal | None
    low: Annotated[Decimal | None, Meta(description="nine times in ten it will not be less")]
    high: Annotated[Decimal | None, Meta(description="nine times in ten it will not be more")]
    method: Literal["weekday_mean", "daily_mean", "none"]
    data_days: Annotated[int, Meta(description="how many completed days of the last 28 it goes by")]


class Overview(Stats, frozen=True):
    """The same taken apart, and set beside what was before and what is to come."""

    by_day: Annotated[list[DayFigures], Meta(description="every day of the period, in order")]
    by_model: Annotated[list[ModelFigures], Meta(description="the dearest first")]
    by_key: Annotated[list[KeyFigures], Meta(description="the dearest first")]
    previous: Annotated[Summary, Meta(description="as many days, just before the period")]
    forecast: Annotated[Forecast, Meta(description="of the selected key and model, whatever the period")]


class UsageEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The usage of a UTC day by one key, one model and one provider. Null is "not known", never 0."""

    date: date
    api_key_id: Annotated[int | None, Meta(description="null: usage that belongs to no key")]
    api_key_name: str | None
    model: Annotated[str | None, Meta(description="OpenRouter's permaslug; null where it is not known")]
    provider: str | None
    requests: int | None
    tokens_input: int | None
    tokens_output: Output
    tokens_reasoning: int | None
    tokens_cached: Cached
    cost: Cost
    byok_cost: ByokCost


class UsageRow(UsageEntry, frozen=True, kw_only=True):
    """One row of the database: an entry, and its place in the order."""

    key_id: int
    model_id: int
    provider_id: int


class SortedRow(UsageRow, frozen=True, kw_only=True):
    """The same in another order. `total`: how many rows there are."""

    total: int


class UsagePage(msgspec.Struct, frozen=True):
    """Some of the selection, the newest day first."""

    items: list[UsageEntry]
    next_cursor: Annotated[str | None, Meta(description="null on the last page")]
    timezone: Literal["UTC"] = "UTC"
