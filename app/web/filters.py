"""Which usage does an address of a page ask for? The same words as in the API; an empty field of a form is no filter."""

from __future__ import annotations

import re
from datetime import date

import msgspec
from litestar.di import Provide
from litestar.params import FromQuery

from app.database import Database
from app.errors import AppError, Invalid, NotFound, NotYours
from app.requests import parse_id_parameter
from app.stats import repository
from app.stats.selection import DAYS_DEFAULT, DAYS_MAX, Selection, select
from app.stats.structs import UsedKey

PERIODS = (7, 30, 90, 365)
CHOICES_MAX = 500

_DAYS = re.compile("[1-9][0-9]{0,3}", re.ASCII)


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """As they stand in the address; "" is not given."""

    days: str = ""
    start_date: str = ""
    end_date: str = ""
    api_key_id: str = ""
    model: str = ""

    def selection(self) -> Selection:
        """Raises Invalid."""
        return select(
            self._number_of_days(),
            _day("start_date", self.start_date),
            _day("end_date", self.end_date),
            parse_id_parameter("api_key_id", self.api_key_id) if self.api_key_id else None,
            self.model or None,
        )

    def _number_of_days(self) -> int | None:
        if not self.days:
            return None
        if not _DAYS.fullmatch(self.days) or (days := int(self.days)) > DAYS_MAX:
            raise Invalid(("days", f"must be a whole number from 1 to {DAYS_MAX}"))
        return days

    @property
    def period(self) -> dict[str, str]:
        """The part of it that says which days."""
        if self.start_date or self.end_date:
            return {"start_date": self.start_date, "end_date": self.end_date}
        return {"days": self.days or str(DAYS_DEFAULT)}

    @property
    def subject(self) -> dict[str, str]:
        """The part of it that says whose usage."""
        return {"api_key_id": self.api_key_id, "model": self.model}

    @property
    def all(self) -> dict[str, str]:
        """What a link to another view of the same usage carries."""
        return self.period | self.subject


class Choices(msgspec.Struct, frozen=True):
    """What a person may choose from."""

    keys: list[UsedKey]
    models: list[str]


def read_filters(
    days: FromQuery[str] = "",
    start_date: FromQuery[str] = "",
    end_date: FromQuery[str] = "",
    api_key_id: FromQuery[str] = "",
    model: FromQuery[str] = "",
) -> Filters:
    """Whatever they are; they are judged where a page can say what is wrong with them."""
    return Filters(days=days, start_date=start_date, end_date=end_date, api_key_id=api_key_id, model=model)


async def find_selection(db: Database, user_id: int, filters: Filters) -> tuple[Selection, AppError | None]:
    """What is selected; where the filters mean nothing, the last days of everything, and why."""
    try:
        selection = filters.selection()
        await repository.find_selection(db, user_id, selection)
    except (Invalid, NotFound, NotYours) as error:
        return Filters().selection(), error
    return selection, None


async def find_choices(db: Database, user_id: int) -> Choices:
    """The keys and models that the user has used, the dearest first."""
    return Choices(
        await repository.list_used_keys(db, user_id, CHOICES_MAX),
        await repository.list_used_models(db, user_id, CHOICES_MAX),
    )


FILTERS = {"filters": Provide(read_filters, sync_to_thread=False)}


def _day(name: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise Invalid((name, "must be a day like 2026-08-24")) from None
