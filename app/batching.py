"""How do many requests share one statement? Group commit, as databases do it with their log: while one statement is on its way,
those who come wait a moment and go together with the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from time import perf_counter
from typing import Generic, TypeVar

import msgspec

from app.crowds import HOLD_SECONDS, turn_away
from app.errors import Unavailable

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")
_Waiting = tuple[asyncio.Future[tuple[Answer, int]], float]  # since when


class Lanes(msgspec.Struct, frozen=True):
    """How many calls at once, how many keys in each, how many requests wait for them at most, and for how long.

    Who finds the line full hears of it after about `hold_seconds`.
    """

    count: int = 1
    batch_max: int = 500
    waiting_max: int = 1200
    patience_seconds: float = 3.0
    hold_seconds: float = HOLD_SECONDS


ONE_LANE = Lanes()


def _nobody(_: int, __: float) -> None:
    """Wants to know."""


class Batcher(Generic[Key, Answer]):
    """Turns many awaits into few calls of `send`.

    A request that comes alone goes at once. Requests with the same key go as one, and never in two calls at the same time. What
    fails, fails for those of its call only. Who has waited too long for a call to begin is not made to wait for its end. A
    request that is given up leaves the line, or its answer goes nowhere.
    """

    def __init__(
        self,
        send: Callable[[Mapping[Key, int]], Awaitable[Mapping[Key, Answer]]],
        lanes: Lanes = ONE_LANE,
        observe: Callable[[int, float], None] = _nobody,
    ) -> None:
        """`send` is told how many requests there are for each key, and answers for each.

        `observe` is told of each call: how many requests shared it, and how many seconds it took.
        """
        self._send = send
        self._observe = observe
        self._batch_max = lanes.batch_max
        self._waiting_max = lanes.waiting_max
        self._patience_seconds = lanes.patience_seconds
        self._hold_seconds = lanes.hold_seconds
        self._free_lanes = lanes.count
        self._waiting = 0
        self._line: dict[Key, list[_Waiting[Answer]]] = {}
        self._under_way: set[Key] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def __contains__(self, key: Key) -> bool:
        """Whether a request with this key is in line or on its way."""
        return key in self._line or key in self._under_way

    async def ask(self, key: Key) -> tuple[Answer, int]:
        """What `send` answers for the key, and how many of the requests with this key in the same call came before this one.

        Raises Unavailable when the line is full or does not move, and what `send` raises.
        """
        if self._is_closed:
            raise Unavailable
        if self._waiting >= self._waiting_max:
            await turn_away(self._hold_seconds)
        request: asyncio.Future[tuple[Answer, int]] = asyncio.get_running_loop().create_future()
        self._line.setdefault(key, []).append((request, perf_counter()))
        self._waiting += 1
        if self._free_lanes and key not in self._under_way:
            self._free_lanes -= 1
            task = asyncio.create_task(self._keep_sending())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await request

    async def close(self) -> None:
        """Takes no more, and waits until those in line have been answered."""
        self._is_closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _keep_sending(self) -> None:
        """What a lane does until there is nobody in line for it."""
        try:
            while batch := self._next_batch():
                await self._send_batch(batch)
        finally:
            self._free_lanes += 1

    def _next_batch(self) -> dict[Key, list[asyncio.Future[tuple[Answer, int]]]]:
        """Those who have waited longest, but for keys that are under way."""
        batch: dict[Key, list[asyncio.Future[tuple[Answer, int]]]] = {}
        since_min = perf_counter() - self._patience_seconds
        for key in [key for key in self._line if key not in self._under_way]:
            if len(batch) == self._batch_max:
                break
            requests = self._line.pop(key)
            self._waiting -= len(requests)
            staying: list[asyncio.Future[tuple[Answer, int]]] = []
            for request, since in requests:
                if request.cancelled():
                    continue
                if since < since_min:
                    request.set_exception(Unavailable())
                else:
                    staying.append(request)
            if staying:
                batch[key] = staying
        return batch

    async def _send_batch(self, batch: dict[Key, list[asyncio.Future[tuple[Answer, int]]]]) -> None:
        self._under_way |= batch.keys()
        began = perf_counter()
        try:
            answers = await self._send({key: len(requests) for key, requests in batch.items()})
            for key, requests in batch.items():
                for rank, request in enumerate(requests):
                    if not request.cancelled():
                        request.set_result((answers[key], rank))
        except BaseException as error:
            reason = error if isinstance(error, Exception) else Unavailable()  # the loop is being stopped
            for request in (request for requests in batch.values() for request in requests if not request.done()):
                request.set_exception(reason)
            if reason is not error:
                raise
        finally:
            self._under_way -= batch.keys()
            self._observe(sum(map(len, batch.values())), perf_counter() - began)
