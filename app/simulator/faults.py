"""What can go wrong at the simulated OpenRouter, on demand?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

Kind = Literal[
    "status",  # another status, with a body of its own or OpenRouter's usual one
    "html",  # what the edge in front of OpenRouter says
    "zod",  # the second shape of errors
    "slow",  # a pause before the answer
    "slow_body",  # the head at once, the body byte by byte
    "reset",  # the connection is reset
    "cut",  # the connection ends in the middle of the body
    "truncated_json",  # whole HTTP, half JSON
    "endless",  # a body without an end
    "redirect",  # to `location`
    "garbage",  # no HTTP at all
    "patch",  # another value of the JSON, by `change` or as the raw text `body`
    "gzip",  # a small packed body that is a huge one
]


class Fault(msgspec.Struct):
    """One thing that goes wrong, for requests whose path (after /api/v1) begins with `path` and that carry `secret`.

    It happens `times` times, or until it is removed, after `spared` requests that it could have hit.
    """

    kind: Kind
    path: str | None = None
    secret: str | None = None
    times: int | None = None
    spared: int = 0
    status: int = 502
    body: str | None = None
    headers: dict[str, str] = {}
    seconds: float = 1.0
    location: str = "/"
    change: Callable[[Any], Any] | None = None

    def is_for(self, path: str, secret: str) -> bool:
        """Whether this request is hit; counts down."""
        if self.path is not None and not path.startswith(self.path):
            return False
        if (self.secret is not None and self.secret != secret) or self.times == 0:
            return False
        if self.spared:
            self.spared -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True
