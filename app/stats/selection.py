"""Which usage is meant? No I/O."""

from __future__ import annotations

from datetime import date, timedelta

import msgspec

from app.errors import Invalid

DAYS_DEFAULT = 30
DAYS_MAX = 3660
# Nobody has usage outside, and the ends of the calendar would mean "infinity" to the database.
YEARS = range(1900, 3000)


class Selection(msgspec.Struct, frozen=True):
    """The last `days` UTC days, today included, or those from `start_date` to `end_date`; of one key or model if given."""

    days: int | None
    start_date: date | None
    end_date: date | None
    key_id: int | None = None
    model: str | None = None

    def within(self, start_date: date, end_date: date) -> Selection:
        """The same in another period."""
        return Selection(None, start_date, end_date, self.key_id, self.model)


def select(
    days: int | None, start_date: date | None, end_date: date | None, key_id: int | None, model: str | None
) -> Selection:
    """Raises Invalid for a period that contradicts itself or is too long."""
    if start_date is None and end_date is None:
        return Selection(DAYS_DEFAULT if days is None else days, None, None, key_id, model)
    if days is not None:
        raise Invalid(("days", "cannot be combined with start_date and end_date"))
    if start_date is None or end_date is None:
        missing = "start_date" if start_date is None else "end_date"
        raise Invalid((missing, "is required: start_date and end_date go together"))
    if end_date < start_date:
        raise Invalid(("end_date", "is before start_date"))
    if (end_date - start_date).days >= DAYS_MAX:
        raise Invalid(("end_date", f"is more than {DAYS_MAX} days after start_date"))
    for name, day in (("start_date", start_date), ("end_date", end_date)):
        if day.year not in YEARS:
            raise Invalid((name, f"must lie in the years {YEARS[0]} to {YEARS[-1]}"))
    return Selection(None, start_date, end_date, key_id, model)


def preceding(selection: Selection, start_date: date, end_date: date) -> Selection:
    """The same in as many days just before the period from `start_date` to `end_date`."""
    days = end_date - start_date + timedelta(days=1)
    return selection.within(start_date - days, start_date - timedelta(days=1))
