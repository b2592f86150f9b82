"""Does a cursor lead back to its place, for whom and for what it was made, and can nobody make one?"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cursors import ByCell, ByTime, Cursors
from app.errors import Invalid

OLD, NEW = bytes(32), bytes([1]) * 32
ID = st.integers(0, 2**63 - 1)
# to PostgreSQL's end of time, which Python's is
MOMENT = st.datetimes(datetime(1, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- the zone comes beside it


@given(st.builds(ByCell, *[st.dates()] * 3, *[ID] * 3))
def test_cursor_leads_back_to_its_cell(place: ByCell) -> None:
    cursor = Cursors([OLD]).make(place, "usage", 1)
    assert Cursors([OLD]).read(cursor, ByCell, "usage", 1) == place
    assert re.fullmatch("[A-Za-z0-9_-]+", cursor)


@given(MOMENT, ID)
def test_cursor_leads_back_to_its_moment(moment: datetime, row_id: int) -> None:
    cursor = Cursors([OLD]).make(ByTime.of(moment, row_id), "keys", 1)
    assert Cursors([OLD]).read(cursor, ByTime, "keys", 1).before == (moment, row_id)


def refused(cursors: Cursors, cursor: str, *bound_to: object) -> None:
    with pytest.raises(Invalid) as caught:
        cursors.read(cursor, ByTime, *bound_to)
    assert [error.pointer for error in caught.value.errors] == ["#/cursor"]


def test_cursor_is_good_for_nothing_else() -> None:
    cursors = Cursors([OLD])
    cursor = cursors.make(ByTime(1, 2), "keys", 1, date(2026, 8, 1), None)
    assert cursors.read(cursor, ByTime, "keys", 1, date(2026, 8, 1), None) == ByTime(1, 2)
    for bound_to in (
        (), ("keys",), ("keys", 2, date(2026, 8, 1), None), ("key", 1, date(2026, 8, 1), None),
        ("keys", 1, date(2026, 8, 2), None), ("keys", 1, date(2026, 8, 1)), ("keys", 1, date(2026, 8, 1), ""),
        ("keys", "1", date(2026, 8, 1), None),
    ):  # fmt: skip
        refused(cursors, cursor, *bound_to)


def test_cursors_outlive_a_change_of_secrets() -> None:
    place = ByTime(1, 2)
    old = Cursors([OLD]).make(place, "keys")
    assert Cursors([NEW, OLD]).read(old, ByTime, "keys") == place
    refused(Cursors([NEW]), old, "keys")
    # the first one signs
    refused(Cursors([OLD]), Cursors([NEW, OLD]).make(place, "keys"), "keys")


def test_cursor_that_is_written_otherwise_is_refused() -> None:
    """Of the same bytes: base64 leaves bits unused in the last character, and Python passes over what is no character of it."""
    cursor = Cursors([OLD]).make(ByTime(1, 2), "keys")
    for other in (cursor[:-1] + chr(ord(cursor[-1]) + 1), f"{cursor}!!!!", f"{cursor[:4]}....{cursor[4:]}"):
        refused(Cursors([OLD]), other, "keys")


@given(st.text())
def test_what_nobody_made_is_refused(text: str) -> None:
    refused(Cursors([OLD]), text, "keys")
