"""What does usage look like, on the wire and in the database?"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from app.usage.activity_csv import Rejected


class NamedId(msgspec.Struct, frozen=True):
    """The id of a model or a provider."""

    name: str
    id: int


class Merged(msgspec.Struct, frozen=True):
    """What was new in a batch."""

    imported: int
    cost: Decimal
    days: list[date]


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
