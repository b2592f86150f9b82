"""How many requests with API tokens are answered, and how fast? `python -m tests.bench.tokens`

The service, the same with a part of it switched off (tests/bench/variants.py), the database and wrk (apt install wrk) share the
machine; loads come in turn, round by round, and never two at once.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import msgspec

from app import embedded, migrate
from app.tokens import secret
from tests.bench.machine import temporary_folder
from tests.bench.store import Store, fill
from tests.processes import running_process

STORE = Store(users=200, keys=2, models=5, days=35)
TOKENS_PER_USER = 5
SETTINGS = ("shared_preload_libraries = 'pg_stat_statements'",)
# module and command of each
SERVERS = {
    "batched": ("app", "run"),
    "unbatched": ("tests.bench.variants", "unbatched"),
    "forgetful": ("tests.bench.variants", "forgetful"),
}
PATHS = ("/livez", "/api/v1/token", "/api/v1/stats")
CREATE_TOKEN = """
    WITH created AS (
        INSERT INTO api_tokens (user_id, token_hash, name, hint, created_at) VALUES ($1, $2, 'bench', '…', now()) RETURNING id
    )
    INSERT INTO api_token_meters (token_id) SELECT id FROM created
"""


class Load(msgspec.Struct, frozen=True):
    """What is asked of one server at once."""

    server: str
    path: str
    tokens: str  # "walked" or "hot"
    connections: int


class Result(msgspec.Struct, frozen=True):
    """What wrk has seen, and how many statements the database was sent."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    failed: int
    statements: int = 0

    @property
    def per_second(self) -> float:
        """Answers that were no refusals."""
        return (self.requests - self.refused) / self.seconds


class Bench(msgspec.Struct):
    """Everything that is running."""

    ports: dict[str, int]
    files: dict[str, Path]
    connection: asyncpg.Connection
    seconds: int

    async def run(self, load: Load) -> Result:
        """One load for the time agreed."""
        await self.connection.execute("SELECT pg_stat_statements_reset()")
        command = [
            "wrk", "--threads", "1", "--connections", load.connections, "--duration", self.seconds, "--timeout", "10s",
            "--script", Path(__file__).with_name("wrk.lua"), f"http://127.0.0.1:{self.ports[load.server]}{load.path}",
            "--", self.files[load.tokens],
        ]  # fmt: skip
        process = await asyncio.create_subprocess_exec(*map(str, command), stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        found = next(line for line in output.decode().splitlines() if line.startswith("JSON "))
        statements = await self.connection.fetchval(
            "SELECT sum(calls) FROM pg_stat_statements WHERE toplevel AND query ~* 'api_token|usage_|openrouter_keys'"
        )
        result = msgspec.json.decode(found.removeprefix("JSON "), type=Result)
        return msgspec.structs.replace(result, statements=int(statements or 0))


@asynccontextmanager
async def bench(seconds: int) -> AsyncGenerator[Bench]:
    """A filled database and the servers, each with one worker and a rate limit that is never reached."""
    with temporary_folder() as folder, embedded.running(folder, settings=SETTINGS) as place:
        await migrate.migrate(place.url)
        connection = await asyncpg.connect(place.url)
        await connection.execute("CREATE EXTENSION pg_stat_statements")
        await fill(connection, STORE)
        tokens = await create_tokens(connection)
        files = {"walked": folder / "walked", "hot": folder / "hot"}
        files["walked"].write_text("\n".join(tokens))
        files["hot"].write_text(tokens[0])
        environ = {"PUBLIC_RATE_LIMIT": "100000000/minute", "SYNC_INTERVAL_MINUTES": "1440"}
        async with AsyncExitStack() as stack:
            ports: dict[str, int] = {}
            for name, (module, command) in SERVERS.items():
                client, _ = await stack.enter_async_context(
                    running_process(place.url, folder / f"{name}.log", module, command, **environ)
                )
                ports[name] = client.base_url.port or 0
            yield Bench(ports, files, connection, seconds)
        await connection.close()


async def create_tokens(connection: asyncpg.Connection) -> list[str]:
    """Some for each user."""
    users = [row["id"] for row in await connection.fetch("SELECT id FROM users ORDER BY id")]
    created = [(user_id, secret.make()) for user_id in users * TOKENS_PER_USER]
    await connection.executemany(CREATE_TOKEN, [(user_id, secret.digest(token)) for user_id, token in created])
    await connection.execute("VACUUM ANALYZE")
    return [token for _, token in created]


async def measure(
    rounds: int, seconds: int, connections: Sequence[int], servers: Sequence[str], kinds: Sequence[str]
) -> None:
    """Prints a table of medians."""
    loads = [
        Load(server, path, tokens, count)
        for count in connections
        for path in PATHS
        for tokens in kinds
        for server in servers
        if (path != "/livez" or (server == servers[0] and tokens == kinds[0]))
        and (path == "/api/v1/stats" or server != "forgetful")
    ]
    found: dict[Load, list[Result]] = defaultdict(list)
    async with bench(seconds) as running:
        for load in loads:  # warms up
            await msgspec.structs.replace(running, seconds=1).run(load)
        for number in range(rounds):
            for load in loads:
                found[load].append(await running.run(load))
            print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    print_table(found)


def print_table(found: dict[Load, list[Result]]) -> None:
    """Medians over the rounds; refused and failed are sums. `of floor`, `of unbatched`: medians of the ratios of each round."""
    heads = ("connections", "path", "tokens", "server", "requests/s", "of floor", "of unbatched", "p50 ms", "p99 ms",
             "statements/request", "refused", "failed")  # fmt: skip
    print(" | ".join(heads))
    for load, results in found.items():
        floor = next(other for other in found if other.connections == load.connections and other.path == "/livez")
        unbatched = msgspec.structs.replace(load, server="unbatched")
        cells = (
            load.connections, load.path, load.tokens, load.server,
            f"{statistics.median(result.per_second for result in results):.0f}",
            _ratio(results, found[floor]),
            _ratio(results, found[unbatched]) if unbatched in found else "",
            f"{statistics.median(result.p50_ms for result in results):.2f}",
            f"{statistics.median(result.p99_ms for result in results):.1f}",
            f"{statistics.median(result.statements / result.requests for result in results):.3f}",
            sum(result.refused for result in results),
            sum(result.failed for result in results),
        )  # fmt: skip
        print(" | ".join(map(str, cells)))


def _ratio(results: Sequence[Result], others: Sequence[Result]) -> str:
    ratios = [one.per_second / other.per_second for one, other in zip(results, others, strict=True)]
    return f"{statistics.median(ratios):.2f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each load in each round")
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 32, 128, 1000])
    parser.add_argument("--servers", nargs="*", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--tokens", nargs="*", choices=["walked", "hot"], default=["walked", "hot"])
    arguments = parser.parse_args()
    asyncio.run(
        measure(arguments.rounds, arguments.seconds, arguments.connections, arguments.servers, arguments.tokens)
    )
