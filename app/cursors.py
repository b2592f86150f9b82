"""How does a list remember where it was? Opaque, URL-safe, and no secret: a place in the caller's own list."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import msgspec

from app.errors import Invalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_decode = msgspec.json.Decoder(tuple[int, int]).decode


def encode_cursor(moment: datetime, row_id: int) -> str:
    """A place in a list ordered by time and id."""
    place = msgspec.json.encode(((moment - _EPOCH) // _MICROSECOND, row_id))
    return urlsafe_b64encode(place).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> tuple[datetime, int]:
    """Raises Invalid for anything that was not made by encode_cursor."""
    try:
        micros, row_id = _decode(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        moment = _EPOCH + timedelta(microseconds=micros)
    except (ValueError, binascii.Error, OverflowError) as error:
        raise Invalid(("cursor", "is not one that this list gave")) from error
    if not 0 < row_id < 2**63 or encode_cursor(moment, row_id) != cursor:
        raise Invalid(("cursor", "is not one that this list gave"))
    return moment, row_id
