"""How does a list remember where it was? In a cursor: opaque, URL-safe, and good only for whom and for what it was made."""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from app.errors import Invalid

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MAC_BYTES = 16

Place = TypeVar("Place", bound=msgspec.Struct)


class ByTime(msgspec.Struct, frozen=True, array_like=True):
    """A place in a list ordered by time and id. `micros` since 1970."""

    micros: int
    row_id: int

    @classmethod
    def of(cls, moment: datetime, row_id: int) -> ByTime:
        """The place of a row."""
        return cls((moment - _EPOCH) // _MICROSECOND, row_id)

    @property
    def before(self) -> tuple[datetime, int]:
        """What comes next in the list is smaller than this."""
        return _EPOCH + timedelta(microseconds=self.micros), self.row_id


class ByCell(msgspec.Struct, frozen=True, array_like=True):
    """A place in the list of usage; and the period as it was when the list began, because `days` mean others tomorrow."""

    start_date: date
    end_date: date
    day: date
    key_id: int
    model_id: int
    provider_id: int


class Cursors:
    """Makes cursors and takes them back. A MAC binds each to its list, its user and the selection."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        """Signs with the first of `secrets`, takes what any of them signed."""
        self._keys = [hmac.digest(secret, b"list cursor", "sha256") for secret in secrets]

    def make(self, place: msgspec.Struct, *bound_to: Any) -> str:
        """`bound_to`: the list, the user and the selection, as plain values."""
        payload = msgspec.msgpack.encode(place)
        return urlsafe_b64encode(self._mac(self._keys[0], payload, bound_to) + payload).rstrip(b"=").decode()

    def read(self, cursor: str, place: type[Place], *bound_to: Any) -> Place:
        """Raises Invalid for everything that `make` did not give for the same list, user and selection."""
        try:
            raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        except (ValueError, binascii.Error) as error:
            raise _refusal() from error
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        is_ours = any(hmac.compare_digest(mac, self._mac(key, payload, bound_to)) for key in self._keys)
        # base64 leaves bits unused, in which the same cursor could be written otherwise
        if not is_ours or urlsafe_b64encode(raw).rstrip(b"=").decode() != cursor:
            raise _refusal()
        return msgspec.msgpack.decode(payload, type=place)

    @staticmethod
    def _mac(key: bytes, payload: bytes, bound_to: tuple[Any, ...]) -> bytes:
        return hmac.digest(key, msgspec.msgpack.encode((payload, bound_to)), "sha256")[:_MAC_BYTES]


def _refusal() -> Invalid:
    return Invalid(("cursor", "is not one that this list gave to you for this selection"))
