"""What is a client told about its rate limit? No I/O.

`RateLimit` and `RateLimit-Policy` are as draft-ietf-httpapi-ratelimit-headers-10 has them, the others are what clients
have long known. Both count to the moment at which more is free, which in a sliding window is not all at once.
"""

from __future__ import annotations

import msgspec

from app.limits import Limit

Headers = list[tuple[bytes, bytes]]


class Quota(msgspec.Struct, frozen=True):
    """What one request has found and left. `free`: how many could pass before it; the times are of the database's clock."""

    limit: Limit
    free: int
    renewed_at: int
    renewed_in_seconds: int

    @property
    def is_exhausted(self) -> bool:
        """Whether the request may not pass."""
        return self.free <= 0

    @property
    def headers(self) -> Headers:
        """Of the answer, whatever it is; names in lower case, as ASGI wants them. `renewed_at` in epoch seconds."""
        remaining = max(self.free - 1, 0)
        return [
            (b"ratelimit-policy", b'"default";q=%d;w=%d' % (self.limit.count, self.limit.window_seconds)),
            (b"ratelimit", b'"default";r=%d;t=%d' % (remaining, self.renewed_in_seconds)),
            (b"x-ratelimit-limit", b"%d" % self.limit.count),
            (b"x-ratelimit-remaining", b"%d" % remaining),
            (b"x-ratelimit-reset", b"%d" % self.renewed_at),
        ]
