"""What does usage look like, on the wire and in the database?"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from app.usage.activity_csv import Rejected


class NamedId(msgspec.Struct, frozen=True):
    """The id of a model or a provider."""

    name: str
    id: int


class NameIds(msgspec.Struct, frozen=True):
    """The ids of models and providers by their names."""

    models: dict[str, int]
    providers: dict[str, int]


class Merged(msgspec.Struct, frozen=True):
    """What was new in a batch."""

    imported: int
    cost: Decimal
    days: list[date]


class Cell(msgspec.Struct, frozen=True):
    """What is told apart within a day."""

    day: date
    model: str
    provider: str  # "" where OpenRouter does not say


class Measures(msgspec.Struct, frozen=True):
    """What is counted in a cell. None is "not said", never 0."""

    requests: int | None
    cost: Decimal
    byok_cost: Decimal | None
    tokens_input: int | None
    tokens_output: int | None
    tokens_reasoning: int | None
    tokens_cached: int | None


class Activity(msgspec.Struct, frozen=True):
    """Usage of completed UTC days, `first_day` to `last_day`; a day without usage is in it all the same, as nothing."""

    first_day: date
    last_day: date
    cells: dict[Cell, Measures]


class StoredReading(msgspec.Struct, frozen=True):
    """The last reading of a key's counters."""

    key_id: int
    day: date
    taken_at: datetime
    cost_total: Decimal
    cost_today: Decimal
    byok_total: Decimal
    byok_today: Decimal


class ImportReport(msgspec.Struct, kw_only=True):
    """What became of an export. Cost and days are those of the generations that this import added."""

    rows: int = 0
    imported: int = 0
    duplicates: int = 0
    rejected_rows: int = 0
    rejected: Annotated[list[Rejected], Meta(description="the first 100; line 1 is the header")] = []
    first_day: date | None = None
    last_day: date | None = None
    timezone: Literal["UTC"] = "UTC"
    total_cost: Decimal = Decimal(0)
