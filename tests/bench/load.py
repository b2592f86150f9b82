"""Does the service last, shed and stay quick? `python -m tests.bench.load` soaks it, asks twice too much of it, and logs in.

The service with one worker, the database and wrk (apt install wrk) share the machine. Where it is said how much is asked of them,
they share no processor with wrk: a generator that has to wait for those whom it loads asks less the less they can. Each part says
what it found and what it must be; the exit code is 1 where it is not.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import msgspec
import psutil

from app import embedded, migrate
from tests.bench.machine import temporary_folder
from tests.bench.store import fill
from tests.bench.tokens import STORE, Result, create_tokens
from tests.cast import PASSWORD, Person, bearer
from tests.processes import running_process

PATH = "/api/v1/stats"
CAPACITY_CONNECTIONS, CAPACITY_SECONDS = 128, 10
TRIALS, TRIAL_SECONDS = 4, 4
SOAK_SHARE, SOAK_CONNECTIONS, SOAK_PIECES = 0.7, 256, 20
GROWTH_MAX_MIB, GROWTH_MINUTES = 1.0, 10
OVERLOAD, OVERLOAD_CONNECTIONS = 2.0, 2000
GOODPUT_MIN = 0.8
RIGHT_AGAIN_SECONDS = 5.0
LOGINS, LOGIN_ROUNDS = 100, 5
CALM_PER_SECOND, CALM_CONNECTIONS, CALM_SECONDS = 200, 16, 6
SLOWER_MAX = 2.0


def better_pause_ms(pause_ms: float, found: Result, connections: int, per_second: float) -> float:
    """With which they ask as often as they should, if an answer takes as long as it did."""
    answer_ms = 1000 * connections * found.seconds / found.requests - pause_ms
    return max(1000 * connections / per_second - answer_ms, 0)


class Bench(msgspec.Struct):
    """Everything that is running."""

    client: httpx.AsyncClient
    process: psutil.Process
    tokens: list[str]
    file: Path
    generator_processors: set[int]

    async def run(self, connections: int, seconds: float, pause_ms: float = 0, path: str = PATH, *body: str) -> Result:
        """As fast as it goes, or with pauses of about so long before each connection's next request."""
        command = [
            "taskset", "--cpu-list", ",".join(map(str, self.generator_processors)),
            "wrk", "--threads", 1, "--connections", connections, "--duration", round(seconds), "--timeout", "10s",
            "--script", Path(__file__).with_name("wrk.lua"), f"{self.client.base_url}{path}",
            "--", self.file, pause_ms, *body,
        ]  # fmt: skip
        process = await asyncio.create_subprocess_exec(*map(str, command), stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        found = next(line for line in output.decode().splitlines() if line.startswith("JSON "))
        return msgspec.json.decode(found.removeprefix("JSON "), type=Result)

    async def pause_ms(self, connections: int, per_second: float) -> float:
        """With which so many connections ask so often: what an answer takes at that pace is tried, and is no pause."""
        pause_ms = 1000 * connections / per_second
        for _ in range(TRIALS):
            found = await self.run(connections, TRIAL_SECONDS, pause_ms)
            pause_ms = better_pause_ms(pause_ms, found, connections, per_second)
        return pause_ms

    async def capacity(self) -> float:
        """The most requests a second that are answered with figures."""
        return (await self.run(CAPACITY_CONNECTIONS, CAPACITY_SECONDS)).per_second

    def resident_mib(self) -> float:
        """Of the worker."""
        return self._worker().memory_info().rss / 2**20

    def descriptors(self) -> int:
        """That the worker holds open."""
        return self._worker().num_fds()

    def _worker(self) -> psutil.Process:
        return max(self.process.children(), key=lambda process: process.memory_info().rss)


@asynccontextmanager
async def bench(*, apart: bool = False) -> AsyncGenerator[Bench]:
    """A filled database and the service, with a rate limit that is never reached.

    `apart`: on one half of the processors, and the generator on the other.
    """
    processors = os.sched_getaffinity(0)
    ours = set(sorted(processors)[: max(len(processors) // 2, 1)]) if apart else processors
    os.sched_setaffinity(0, ours)  # and so for all that is started from here
    try:
        async with _bench((processors - ours) or processors) as made:
            yield made
    finally:
        os.sched_setaffinity(0, processors)


@asynccontextmanager
async def _bench(generator_processors: set[int]) -> AsyncGenerator[Bench]:
    with temporary_folder() as folder, embedded.running(folder) as place:
        await migrate.migrate(place.url)
        connection = await asyncpg.connect(place.url)
        await fill(connection, STORE)
        tokens = await create_tokens(connection)
        await connection.close()
        (folder / "tokens").write_text("\n".join(tokens))
        environ = {"PUBLIC_RATE_LIMIT": "100000000/minute", "SYNC_INTERVAL_MINUTES": "1440"}
        async with running_process(place.url, folder / "log", **environ) as (client, process):
            made = Bench(client, psutil.Process(process.pid), tokens, folder / "tokens", generator_processors)
            await made.run(CAPACITY_CONNECTIONS, 3)  # warms up
            yield made


async def soak(bench: Bench, minutes: float) -> list[str]:
    """At a part of the capacity. What is wrong: memory or descriptors that grow, errors, latency that does."""
    capacity = await bench.capacity()
    rate = SOAK_SHARE * capacity
    print(f"soak: {minutes:g} minutes at {rate:.0f} requests/s, {SOAK_SHARE:.0%} of {capacity:.0f}")
    print(
        f"{'minutes':>8}{'requests/s':>12}{'p50 ms':>8}{'p99 ms':>8}{'MiB':>8}{'descriptors':>13}{'errors':>8}",
        flush=True,
    )
    pause_ms = await bench.pause_ms(SOAK_CONNECTIONS, rate)
    pieces, samples, began = [], [], time.monotonic()
    for _ in range(SOAK_PIECES):
        piece = await bench.run(SOAK_CONNECTIONS, minutes * 60 / SOAK_PIECES, pause_ms)
        passed = (time.monotonic() - began) / 60
        await asyncio.sleep(0.5)  # wrk's connections are gone
        samples.append((passed, bench.resident_mib(), bench.descriptors()))
        pieces.append(piece)
        pause_ms = better_pause_ms(pause_ms, piece, SOAK_CONNECTIONS, rate)
        _, resident, descriptors = samples[-1]
        errors = piece.refused + piece.failed
        print(
            f"{passed:>8.1f}{piece.per_second:>12.0f}{piece.p50_ms:>8.2f}{piece.p99_ms:>8.1f}"
            f"{resident:>8.1f}{descriptors:>13}{errors:>8}",
            flush=True,
        )
    settled = samples[SOAK_PIECES // 5 :]
    slope = statistics.linear_regression([at for at, _, _ in settled], [mib for _, mib, _ in settled]).slope
    # single pieces tell of what else the machine did meanwhile
    third = SOAK_PIECES // 3
    start, end = (
        [statistics.median(getattr(piece, name) for piece in part) for name in ("p50_ms", "p99_ms")]
        for part in (pieces[:third], pieces[-third:])
    )
    print(
        f"p50 and p99: {start[0]:.2f} and {start[1]:.1f} ms in the first third, {end[0]:.2f} and {end[1]:.1f} in the last"
    )
    print(f"memory: {slope * GROWTH_MINUTES:+.2f} MiB in {GROWTH_MINUTES} minutes", flush=True)
    wrong = [f"memory grows by {slope * GROWTH_MINUTES:.2f} MiB"] if slope * GROWTH_MINUTES >= GROWTH_MAX_MIB else []
    came = statistics.mean(piece.per_second for piece in pieces)
    print(f"requests: {came:.0f} a second, {came / capacity:.0%} of the capacity", flush=True)
    wrong += [] if came > 0.95 * rate else ["they asked less than they should"]
    wrong += (
        [f"{sum(p.refused + p.failed for p in pieces)} errors"] if any(p.refused + p.failed for p in pieces) else []
    )
    wrong += ["descriptors grow"] if settled[-1][2] > settled[0][2] + 5 else []
    wrong += [
        f"{name} went from {before:.1f} to {after:.1f} ms"
        for name, before, after in zip(("p50", "p99"), start, end, strict=True)
        if after > 1.5 * before + 1
    ]
    return wrong


async def overload(bench: Bench, seconds: float) -> list[str]:
    """Clients who want twice what it can, and then clients who want all they can get.

    What is wrong: much less done than when it has just enough to do, requests without an answer, a long recovery; and nobody
    refused where there were more of them than may wait.
    """
    wrong = []
    for name, demand in (("twice the capacity", OVERLOAD), ("all they can get", None)):
        before = await bench.capacity()
        pause_ms = 1000 * OVERLOAD_CONNECTIONS / (demand * before) if demand else 0
        found = await bench.run(OVERLOAD_CONNECTIONS, seconds, pause_ms)
        recovery = await _recovery_seconds(bench, time.monotonic())
        capacity = statistics.mean((before, await bench.capacity()))
        goodput = found.per_second / capacity
        print(
            f"overload, {OVERLOAD_CONNECTIONS} clients want {name} ({capacity:.0f} requests/s): "
            f"{found.requests / found.seconds:.0f} came, {found.per_second:.0f} were answered ({goodput:.0%}), "
            f"{found.refused / found.seconds:.0f} refused, {found.failed} failed in {found.seconds:.0f} s; "
            f"p50 {found.p50_ms:.0f} ms, p99 {found.p99_ms:.0f} ms; right again after {recovery:.1f} s",
            flush=True,
        )
        wrong += [f"goodput is {goodput:.0%} of the peak"] if goodput < GOODPUT_MIN else []
        wrong += [f"{found.failed} requests were not answered"] if found.failed else []
        wrong += ["nobody was refused"] if not (demand or found.refused) else []
        wrong += [f"it took {recovery:.1f} s to recover"] if recovery > RIGHT_AGAIN_SECONDS else []
    return wrong


async def _recovery_seconds(bench: Bench, since: float) -> float:
    """Until the last answer that was none, or took long."""
    last = since
    while time.monotonic() < since + 2 * RIGHT_AGAIN_SECONDS:
        began = time.monotonic()
        answer = await bench.client.get(PATH, headers=bearer(bench.tokens[0]))
        if answer.status_code != 200 or time.monotonic() - began > 0.1:
            last = time.monotonic()
        await asyncio.sleep(0.02)
    return last - since


async def logins(bench: Bench) -> list[str]:
    """A hundred under way at any moment. What is wrong: programs notice."""
    await Person.arrives(bench.client, "alice@example.com")
    body = msgspec.json.encode({"email": "alice@example.com", "password": PASSWORD}).decode()
    pause_ms = 1000 * CALM_CONNECTIONS / CALM_PER_SECOND
    calm, busy, many = [], [], []
    for _ in range(LOGIN_ROUNDS):
        calm.append(await bench.run(CALM_CONNECTIONS, CALM_SECONDS, pause_ms))
        found, crowd = await asyncio.gather(
            bench.run(CALM_CONNECTIONS, CALM_SECONDS, pause_ms),
            bench.run(LOGINS, CALM_SECONDS, 0, "/api/auth/login", body),
        )
        busy.append(found)
        many.append(crowd)
        await asyncio.sleep(5)  # those in line are through
    before, during = (statistics.median(result.p99_ms for result in results) for results in (calm, busy))
    print(
        f"logins: {sum(m.requests - m.refused for m in many)} succeeded, {sum(m.refused for m in many)} were refused, "
        f"{sum(m.failed for m in many)} failed; p99 of programs {before:.1f} ms before, {during:.1f} ms meanwhile "
        f"(p50 {statistics.median(r.p50_ms for r in calm):.1f} and {statistics.median(r.p50_ms for r in busy):.1f})",
        flush=True,
    )
    wrong = [f"p99 became {during / before:.1f} times as long"] if during > SLOWER_MAX * before else []
    return wrong + [f"{r.refused + r.failed} errors" for r in (*calm, *busy) if r.refused + r.failed]


async def measure(parts: list[str], minutes: float, seconds: float) -> bool:
    """Whether all is as it must be."""
    wrong: list[str] = []
    if "logins" in parts:
        async with bench() as running:
            wrong += [f"logins: {what}" for what in await logins(running)]
    if {"soak", "overload"} & {*parts}:
        async with bench(apart=True) as running:
            if "overload" in parts:
                wrong += [f"overload: {what}" for what in await overload(running, seconds)]
            if "soak" in parts:
                wrong += [f"soak: {what}" for what in await soak(running, minutes)]
    print("\n".join(wrong) or "all is as it must be")
    return not wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["logins", "overload", "soak"])
    parser.add_argument("--minutes", type=float, default=30, help="of the soak")
    parser.add_argument("--seconds", type=float, default=60, help="of the overload")
    arguments = parser.parse_args()
    sys.exit(0 if asyncio.run(measure(arguments.parts, arguments.minutes, arguments.seconds)) else 1)
