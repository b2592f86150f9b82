"""Which API tokens are in a text? No I/O.

For what was found where it should not be: logs, commits, pastes. The checksum tells a token from what only looks like one.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable

from app.tokens import secret

_SHAPE = re.compile(secret.SHAPE.encode("ascii"))
_OVERLAP = secret.LENGTH - 1


def find_tokens(pieces: Iterable[bytes]) -> Generator[str]:
    """In their order, as often as they are there; a token may lie across pieces. The text may be anything, UTF-16 included."""
    rest = b""
    for piece in pieces:
        text = rest + piece.replace(b"\0", b"")  # every second byte of ASCII in UTF-16
        end = 0
        for match in _SHAPE.finditer(text):
            token = match[0].decode("ascii")
            if secret.is_well_formed(token):
                end = match.end()
                yield token
        rest = text[max(end, len(text) - _OVERLAP) :]
