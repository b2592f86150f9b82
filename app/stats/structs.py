"""What do totals look like?"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Totals(msgspec.Struct, frozen=True):
    """One row of the database: the period that was meant, and its sums. None is "not known", never 0."""

    start_date: date
    end_date: date
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
    total_cost: Annotated[Decimal | None, Meta(description="US dollars spent from OpenRouter credits")]
    total_byok_cost: Annotated[Decimal | None, Meta(description="US dollars spent at providers with own keys")]
    total_tokens_input: int | None
    total_tokens_output: Annotated[int | None, Meta(description="reasoning included")]
    total_tokens_reasoning: int | None
    total_tokens_cached: Annotated[int | None, Meta(description="the part of the input that was read from a cache")]
    incomplete: list[str]
