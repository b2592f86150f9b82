"""How long may a client take to send a body? The server waits for ever, so this asks it to get on."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

from litestar import Request
from litestar.connection.base import empty_receive, empty_send
from litestar.types import Receive, Scope, Send
from litestar.types.asgi_types import HTTPReceiveMessage

from app.errors import TooSlow

GRACE_SECONDS = 10.0
BYTES_PER_SECOND_MIN = 8192  # a telephone line of the nineties


class TimelyRequest(Request[Any, Any, Any]):
    """A request whose body must come within the grace, and the time that its size takes at the slowest rate there is."""

    def __init__(self, scope: Scope, receive: Receive = empty_receive, send: Send = empty_send) -> None:
        super().__init__(scope, in_time(receive), send)


def in_time(
    receive: Receive, grace_seconds: float = GRACE_SECONDS, bytes_per_second_min: float = BYTES_PER_SECOND_MIN
) -> Receive:
    """The same, raising TooSlow. Only what is waited for the client counts, not what is done with the body in between."""
    waited = received = 0.0

    async def receive_in_time() -> HTTPReceiveMessage:
        nonlocal waited, received
        began = monotonic()
        try:
            async with asyncio.timeout(grace_seconds + received / bytes_per_second_min - waited):
                message: Any = await receive()
        except TimeoutError as error:
            raise TooSlow from error
        waited += monotonic() - began
        received += len(message.get("body", b""))
        return message

    return receive_in_time
