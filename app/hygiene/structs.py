"""What does a finding look like, on the wire and in the database?"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Subject = Literal["key", "token"]
Code = Literal["refused", "over_limit", "expiring", "never_used", "idle", "no_limit", "no_expiry"]
Urgency = Literal["high", "medium", "low"]


class FoundRow(msgspec.Struct, frozen=True):
    """One row of the database: a key or token to which a finding applies. `day`, `share`: what the finding's code says of it."""

    code: Code
    id: int
    name: str
    day: date | None
    share: Decimal | None
    total: int


class Concerned(msgspec.Struct, frozen=True):
    """A key or a token to which a finding applies."""

    id: int
    name: str
    detail: Annotated[str, Meta(description="what is so with this one; empty where the finding says it all")]


class Finding(msgspec.Struct, frozen=True):
    """Something about keys or tokens that should be looked at, and what to do about it."""

    about: Subject
    code: Code
    urgency: Urgency
    title: str
    advice: str
    total: Annotated[int, Meta(description="how many it applies to")]
    items: Annotated[list[Concerned], Meta(description="the first of them, by name")]


class Hygiene(msgspec.Struct, frozen=True):
    """All findings, the most urgent first."""

    findings: list[Finding]
    timezone: Literal["UTC"] = "UTC"
