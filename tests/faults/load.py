"""The steady load under which faults happen: who asks for what, how often, and what was promised to whom?"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec

from tests.cast import Person, bearer
from tests.faults.client import Answer
from tests.faults.stage import IMPORT_TIMEOUT_SECONDS, Reader, Stage
from tests.usage.exports import CSV, IMPORT, exact_text, export

PROBE_SECONDS = 0.2
PUBLIC = ("stats?days=3660", "stats?days=3660", "usage?days=3660", "keys", "token", "metrics")
PRIVATE = ("stats?days=3660", "usage?days=3660", "keys", "tokens", "hygiene", "events")
READ, PROGRAM, READYZ = "read", "program", "readyz"
JSON = {"Content-Type": "application/json"}
NAMED = b'{"name": "made under fire"}'

_MARK = re.compile(r"mark-[0-9]+-of-its-owner")


class Request(msgspec.Struct, frozen=True):
    """One request and what came of it; status 0: no answer at all, and `problem` says why."""

    kind: str
    began_at: float
    seconds: float
    status: int
    problem: str = ""
    has_retry_after: bool = False


class Promises(msgspec.Struct):
    """What the service has acknowledged, and what became of tokens is known only if it did."""

    created: dict[str, tuple[int, str]] = {}  # by id: owner and secret
    revoked: set[str] = set()
    unclear: set[str] = set()  # ids whose revocation was not acknowledged
    imported: dict[str, int] = {}  # generation: owner
    passed: dict[str, int] = {}  # by API token: answers that say that it was let in


class Load(msgspec.Struct):
    """What was asked so far."""

    stage: Stage
    requests: list[Request] = []
    probes: list[Request] = []
    promises: Promises = msgspec.field(default_factory=Promises)
    foreign: list[str] = []

    async def _ask(self, kind: str, request: Awaitable[Answer]) -> Answer | None:
        began_at = time.monotonic()
        answer: Answer | None = None
        try:
            answer = await request
            status, problem = answer.status, answer.text[:200] if answer.status >= 400 else ""
        except (OSError, EOFError) as error:
            status, problem = 0, type(error).__name__
        has_retry_after = answer is not None and "retry-after" in answer.headers
        found = Request(kind, began_at, time.monotonic() - began_at, status, problem, has_retry_after)
        (self.probes if kind == READYZ else self.requests).append(found)
        return answer

    async def probe(self) -> None:
        """What a load balancer does."""
        await self._ask(READYZ, self.stage.line.request("GET", "/readyz"))

    async def read_as_program(self, dice: random.Random) -> None:
        """With an API token."""
        reader = dice.choice(self.stage.readers)
        token, path = dice.choice(reader.tokens), dice.choice(PUBLIC)
        answer = await self._ask(PROGRAM, self.stage.line.request("GET", f"/api/v1/{path}", bearer(token)))
        if answer is not None and answer.status == 200:
            self.promises.passed[token] = self.promises.passed.get(token, 0) + 1
            self._look(reader, path, answer)

    async def read_as_person(self, dice: random.Random) -> None:
        """With an access token."""
        reader, path = dice.choice(self.stage.readers), dice.choice(PRIVATE)
        answer = await self._ask(READ, self.stage.line.request("GET", f"/api/{path}", reader.person.headers))
        if answer is not None and answer.status == 200:
            self._look(reader, path, answer)

    async def write(self, dice: random.Random) -> None:
        """A token made or revoked, or a small import."""
        writer = dice.choice(self.stage.writers)
        if dice.random() < 0.4:
            await self.imports(writer)
            return
        owned = [
            name
            for name, (owner, _) in self.promises.created.items()
            if owner == writer.id and name not in self.promises.revoked | self.promises.unclear
        ]
        if len(owned) >= 5 or (owned and dice.random() < 0.5):
            await self._revoke(writer, owned[0])
        else:
            await self._create(writer)

    async def imports(self, writer: Person) -> None:
        """One generation."""
        generation = uuid4().hex
        file = export({"generation_id": generation, "cost_total": "1"})
        answer = await self._ask(
            "import", self.stage.line.request("POST", IMPORT, writer.headers | CSV, file, IMPORT_TIMEOUT_SECONDS)
        )
        if answer is not None and answer.status == 200:
            self.promises.imported[generation] = writer.id

    async def _create(self, writer: Person) -> None:
        answer = await self._ask("create", self.stage.line.request("POST", "/api/tokens", writer.headers | JSON, NAMED))
        if answer is not None and answer.status == 201:
            created = exact_text(answer.text)
            self.promises.created[str(created["id"])] = writer.id, created["token"]
            self.stage.secrets.append(created["token"])

    async def _revoke(self, writer: Person, token_id: str) -> None:
        self.promises.unclear.add(token_id)
        answer = await self._ask("revoke", self.stage.line.request("DELETE", f"/api/tokens/{token_id}", writer.headers))
        if answer is not None and answer.status == 204:
            self.promises.revoked.add(token_id)

    def _look(self, reader: Reader, path: str, answer: Answer) -> None:
        """Nothing of another's, and the sums are the reader's."""
        if others := set(_MARK.findall(answer.text)) - {reader.mark}:
            self.foreign.append(f"{path} shows {others} to {reader.mark}")
        if path.startswith("stats") and (cost := exact_text(answer.text)["summary"]["total_cost"]) != reader.cost:
            self.foreign.append(f"{path} shows {cost} to {reader.mark}")


@asynccontextmanager
async def load(stage: Stage, per_second: float) -> AsyncGenerator[Load]:
    """So many requests a second, answered or not; at the end of the block those under way are waited for."""
    found = Load(stage)
    tasks: set[asyncio.Task[None]] = set()
    dice = random.Random(8)  # noqa: S311 -- no secret

    def begin(request: Awaitable[None]) -> None:
        task = asyncio.ensure_future(request)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def keep_asking() -> None:
        due_at = time.monotonic()
        while True:
            due_at += 1 / per_second
            await asyncio.sleep(max(0, due_at - time.monotonic()))
            throw = dice.random()
            acts = found.read_as_program if throw < 0.9 else found.read_as_person if throw < 0.98 else found.write
            begin(acts(dice))

    async def keep_probing() -> None:
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            begin(found.probe())

    work = [asyncio.create_task(keep_asking()), asyncio.create_task(keep_probing())]
    try:
        yield found
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        if tasks:
            await asyncio.wait(tasks, timeout=IMPORT_TIMEOUT_SECONDS)
