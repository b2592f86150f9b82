"""Do many requests share few calls, and does nobody suffer from another's failure, impatience or end?"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from time import perf_counter

import msgspec
import pytest

from app.batching import Batcher, Lanes
from app.errors import Unavailable


class Statement(msgspec.Struct):
    """What stands in for the database: calls end when the test says so. The answer for a key is the key in capitals."""

    calls: list[dict[str, int]] = msgspec.field(default_factory=list)
    ends: list[asyncio.Future[None]] = msgspec.field(default_factory=list)

    async def send(self, requests: Mapping[str, int]) -> dict[str, str]:
        self.calls.append(dict(requests))
        self.ends.append(asyncio.get_running_loop().create_future())
        await self.ends[-1]
        return {key: key.upper() for key in requests}

    def end(self, number: int, error: Exception | None = None) -> None:
        """Lets a call return, or fail."""
        self.ends[number].set_exception(error) if error else self.ends[number].set_result(None)


@pytest.fixture
def statement() -> Statement:
    return Statement()


async def settle() -> None:
    """Everything that can happen without anybody's help has happened."""
    for _ in range(10):
        await asyncio.sleep(0)


def ask(batcher: Batcher[str, str], keys: str) -> list[asyncio.Task[tuple[str, int]]]:
    """A request for each letter, in order."""
    return [asyncio.create_task(batcher.ask(key)) for key in keys]


async def test_request_alone_goes_at_once(statement: Statement) -> None:
    [request] = ask(Batcher(statement.send), "a")
    await settle()
    assert statement.calls == [{"a": 1}]
    statement.end(0)
    assert await request == ("A", 0)


async def test_those_who_come_while_a_call_is_under_way_share_the_next(statement: Statement) -> None:
    batcher = Batcher(statement.send)
    first = ask(batcher, "a")
    await settle()
    rest = ask(batcher, "bcdb")
    await settle()
    assert statement.calls == [{"a": 1}]
    statement.end(0)
    await settle()
    assert statement.calls[1:] == [{"b": 2, "c": 1, "d": 1}]
    statement.end(1)
    assert await asyncio.gather(*first, *rest) == [("A", 0), ("B", 0), ("C", 0), ("D", 0), ("B", 1)]


async def test_requests_with_one_key_are_ranked_as_they_came(statement: Statement) -> None:
    requests = ask(Batcher(statement.send), "aaa")
    await settle()
    assert statement.calls == [{"a": 3}]
    statement.end(0)
    assert await asyncio.gather(*requests) == [("A", 0), ("A", 1), ("A", 2)]


async def test_no_more_calls_at_once_than_lanes(statement: Statement) -> None:
    batcher = Batcher(statement.send, Lanes(2))
    for key in "abcd":
        ask(batcher, key)
        await settle()
    assert statement.calls == [{"a": 1}, {"b": 1}]
    statement.end(1)
    await settle()
    assert statement.calls[2:] == [{"c": 1, "d": 1}]


async def test_a_key_is_never_in_two_calls_at_once(statement: Statement) -> None:
    batcher = Batcher(statement.send, Lanes(2))
    ask(batcher, "a")
    await settle()
    later = ask(batcher, "aba")
    await settle()
    assert statement.calls == [{"a": 1}, {"b": 1}]  # "a" waits though there was a free lane
    statement.end(1)
    await settle()
    assert len(statement.calls) == 2
    statement.end(0)
    await settle()
    assert statement.calls[2:] == [{"a": 2}]
    statement.end(2)
    assert await asyncio.gather(*later) == [("A", 0), ("B", 0), ("A", 1)]


async def test_batch_takes_no_more_keys_than_it_may_and_the_oldest_first(statement: Statement) -> None:
    batcher = Batcher(statement.send, Lanes(batch_max=2))
    ask(batcher, "aabcde")
    for number, expected in enumerate([{"a": 2, "b": 1}, {"c": 1, "d": 1}, {"e": 1}]):
        await settle()
        assert statement.calls[number:] == [expected]
        statement.end(number)


async def test_line_has_an_end_and_those_in_it_are_served(statement: Statement) -> None:
    batcher = Batcher(statement.send, Lanes(waiting_max=3, hold_seconds=0))
    first = ask(batcher, "a")
    await settle()
    line = ask(batcher, "bcb")
    await settle()
    with pytest.raises(Unavailable):
        await batcher.ask("d")
    with pytest.raises(Unavailable):
        await batcher.ask("b")
    statement.end(0)
    await settle()
    late = ask(batcher, "d")
    await settle()
    statement.end(1)
    await settle()
    statement.end(2)
    assert len(await asyncio.gather(*first, *line, *late)) == 5


async def test_who_is_refused_is_held_so_that_he_cannot_ask_again_at_once(statement: Statement) -> None:
    batcher = Batcher(statement.send, Lanes(waiting_max=1, hold_seconds=0.2))
    served = ask(batcher, "a")
    await settle()
    served += ask(batcher, "b")
    await settle()
    began = perf_counter()
    results = await asyncio.gather(*ask(batcher, "cd"), return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 2
    assert 0.1 <= perf_counter() - began < 2
    statement.end(0)
    await settle()
    statement.end(1)
    assert await asyncio.gather(*served) == [("A", 0), ("B", 0)]


async def test_failure_is_that_of_its_own_call_and_the_next_works(statement: Statement) -> None:
    batcher = Batcher(statement.send)
    first = ask(batcher, "ab")
    await settle()
    second = ask(batcher, "ac")
    statement.end(0, Unavailable())
    results = await asyncio.gather(*first, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable, Unavailable]
    statement.end(1)
    assert await asyncio.gather(*second) == [("A", 0), ("C", 0)]


async def test_who_has_waited_too_long_for_a_call_is_not_made_to_wait_for_its_end(statement: Statement) -> None:
    """Or else, with a silent database, they would wait twice as long as those before them."""
    batcher = Batcher(statement.send, Lanes(patience_seconds=0.2))
    first = ask(batcher, "ab")
    await settle()
    early = ask(batcher, "abc")
    await asyncio.sleep(0.3)
    late = ask(batcher, "ad")
    await settle()
    statement.end(0, Unavailable())
    results = await asyncio.gather(*first, *early, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 5
    await settle()
    assert statement.calls[1] == {"a": 1, "d": 1}
    statement.end(1)
    assert await asyncio.gather(*late) == [("A", 0), ("D", 0)]


async def test_answer_that_lacks_a_key_fails_and_hangs_nobody() -> None:
    async def forgetful(_: Mapping[str, int]) -> dict[str, str]:
        return {"a": "A"}

    results = await asyncio.gather(*ask(Batcher(forgetful), "ab"), return_exceptions=True)
    assert results[0] == ("A", 0)
    assert isinstance(results[1], KeyError)


async def test_request_given_up_in_line_is_not_sent(statement: Statement) -> None:
    batcher = Batcher(statement.send)
    first = ask(batcher, "a")
    await settle()
    gone, gone_too, staying = ask(batcher, "bcc")
    await settle()
    gone.cancel()
    gone_too.cancel()
    statement.end(0)
    await settle()
    assert statement.calls[1:] == [{"c": 1}]
    statement.end(1)
    assert await asyncio.gather(*first, staying) == [("A", 0), ("C", 0)]
    assert "b" not in batcher


async def test_request_given_up_under_way_harms_nobody(statement: Statement) -> None:
    batcher = Batcher(statement.send)
    gone, staying = ask(batcher, "aa")
    await settle()
    gone.cancel()
    await settle()
    statement.end(0)
    assert await staying == ("A", 1)  # whose turn was counted when the call began
    [after] = ask(batcher, "a")
    await settle()
    statement.end(1)
    assert await after == ("A", 0)


async def test_line_goes_on_behind_a_batch_of_which_everybody_has_gone(statement: Statement) -> None:
    batcher = Batcher(statement.send, Lanes(batch_max=2))
    first = ask(batcher, "a")
    await settle()
    gone, staying = ask(batcher, "bcd"), ask(batcher, "e")
    await settle()
    for request in gone:
        request.cancel()
    statement.end(0)
    await settle()
    assert statement.calls[1:] == [{"e": 1}]
    statement.end(1)
    assert await asyncio.gather(*first, *staying) == [("A", 0), ("E", 0)]


async def test_closing_takes_no_more_and_serves_those_in_line(statement: Statement) -> None:
    batcher = Batcher(statement.send)
    requests = ask(batcher, "a")
    await settle()
    requests += ask(batcher, "bc")
    closing = asyncio.create_task(batcher.close())
    await settle()
    with pytest.raises(Unavailable):
        await batcher.ask("d")
    statement.end(0)
    await settle()
    assert not closing.done()
    statement.end(1)
    await closing
    assert [answer for answer, _ in await asyncio.gather(*requests)] == ["A", "B", "C"]


async def test_end_of_the_loop_leaves_nobody_waiting(statement: Statement) -> None:
    batcher = Batcher(statement.send)
    [request] = ask(batcher, "a")
    await settle()
    for lane in batcher._tasks:
        lane.cancel()
    with pytest.raises(Unavailable):
        await request
    [after] = ask(batcher, "a")
    await settle()
    statement.end(1)
    assert await after == ("A", 0)


async def test_everybody_is_answered_whatever_fails_and_whoever_goes() -> None:
    dice = random.Random(5)  # noqa: S311 -- no secret
    under_way: Counter[str] = Counter()
    sent: Counter[str] = Counter()
    most_at_once = 0

    async def send(requests: Mapping[str, int]) -> dict[str, str]:
        nonlocal most_at_once
        under_way.update(requests.keys())
        most_at_once = max(most_at_once, len(requests))
        assert max(under_way.values()) == 1, under_way
        await asyncio.sleep(dice.choice((0, 0, 0.001)))
        under_way.subtract(requests.keys())
        if dice.random() < 0.1:
            raise Unavailable
        sent.update(requests)
        return {key: key.upper() for key in requests}

    batcher = Batcher(send, Lanes(3, batch_max=7))
    outcomes: Counter[str] = Counter()

    async def client() -> None:
        for _ in range(20):
            key = dice.choice("abcdefghijklmnop")
            request = asyncio.create_task(batcher.ask(key))
            await asyncio.sleep(0)
            if dice.random() < 0.1:
                request.cancel()
            [outcome] = await asyncio.gather(request, return_exceptions=True)
            if isinstance(outcome, tuple):
                assert outcome[0] == key.upper()
            outcomes[type(outcome).__name__] += 1

    async with asyncio.timeout(30):
        await asyncio.gather(*(client() for _ in range(60)))
        await batcher.close()
    assert sum(outcomes.values()) == 1200
    assert outcomes.keys() == {"tuple", "Unavailable", "CancelledError"}
    assert outcomes["tuple"] <= sent.total()
    assert most_at_once == 7
