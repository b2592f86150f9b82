"""Has the client what it asks for already? Entity tags, and how `If-None-Match` compares them (RFC 9110, 13.1.2). No I/O."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

_TAG = re.compile(r'\s*(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)')
_TAG_BYTES = 16


def make_etag(*what: Any) -> str:
    """Of all that decides an answer, as plain values: whose it is, what was asked for, and of which state of the data."""
    return f'"{hashlib.sha256(msgspec.msgpack.encode(what)).hexdigest()[: 2 * _TAG_BYTES]}"'


def matches(if_none_match: str, etag: str) -> bool:
    """Whether one of the client's tags is this one, by the weak comparison; `*` is any. No list of tags matches nothing."""
    if if_none_match.strip() == "*":
        return True
    place, tags = 0, set[str]()
    while place < len(if_none_match):
        found = _TAG.match(if_none_match, place)
        if found is None:
            return False
        tags.add(found[1])
        place = found.end()
    return etag in tags
