"""What must hold whatever has happened? I1 to I9, checked by this program on what was asked, answered, stored and said."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

import msgspec

from app.tokens import secret
from tests.cast import bearer
from tests.faults.load import PROGRAM, READ, Load, Request
from tests.faults.stage import CLIENT_TIMEOUT_SECONDS, POOL_SIZE, RATE_LIMIT, Stage

ACTIVE_MAX = 5
RESIDENT_GROWTH_MAX_MIB = 100
COUNTS_LOST_SECONDS = 1.5  # what a crash of the database may forget of the meters, and the time it takes
READY_WITHIN_SECONDS = 3.0  # /readyz says so of a database that is gone, and of one that is back
EXPECTED = {
    PROGRAM: {200, 429},
    READ: {200},
    "import": {200},
    "create": {201, 400},
    "revoke": {204},
    "sync": {200},
}


class Expectation(msgspec.Struct, frozen=True):
    """What a fault is allowed to do to its users, beyond what is always so."""

    recovers_within_seconds: float = 5.0
    readiness: str = "either"  # during the fault: "away" (503), "ready" (200), or "either"
    also: frozenset[tuple[str, int]] = frozenset()  # answers besides the expected ones: kind and status
    breaks_connections: bool = False  # requests under way in a process that died have no answer
    loses_counts: bool = False  # of the meters, the last second; DESIGN: they are not waited for
    unavailable: bool = True  # whether anybody may be answered 503 at all


class Story(msgspec.Struct):
    """When what happened, by the monotonic clock."""

    began_at: float
    heals_at: float
    healed_at: float
    resident_mib_before: float
    resident_mib_after: float = 0.0


def is_right(request: Request) -> bool:
    """Answered as it would have been without any fault."""
    return request.status in EXPECTED[request.kind]


def recovery_seconds(requests: list[Request], healed_at: float) -> float:
    """From the end of the fault until nobody who came was refused any more."""
    late = [request.began_at - healed_at for request in requests if not is_right(request)]
    return max(0.0, *late) if late else 0.0


def check_answers(load: Load, story: Story, expectation: Expectation) -> list[str]:
    """I3, I4 and I6: of what was answered."""
    broken: list[str] = []
    wrong: Counter[str] = Counter()
    for request in load.requests:
        if is_right(request) or (request.kind, request.status) in expectation.also:
            continue
        if request.status == 503 and request.has_retry_after and expectation.unavailable:
            continue
        if request.status == 0 and expectation.breaks_connections and request.seconds < CLIENT_TIMEOUT_SECONDS:
            continue
        wrong[f"{request.kind} {request.status} {request.problem}"] += 1
    broken += [f"I3 {count} × {what}" for what, count in wrong.most_common(5)]
    if slow := [
        request for request in load.requests if request.seconds > CLIENT_TIMEOUT_SECONDS and request.kind != "import"
    ]:
        broken.append(f"I3 {len(slow)} hung, {slow[0].kind} for {slow[0].seconds:.1f} s")
    took = recovery_seconds(load.requests, story.healed_at)
    if took > expectation.recovers_within_seconds:
        broken.append(f"I4 recovered after {took:.1f} s")
    if not [request for request in load.requests if request.began_at > story.healed_at and is_right(request)]:
        broken.append("I4 nobody was answered after the fault")
    return broken + [f"I6 {what}" for what in load.foreign[:3]]


def check_readiness(load: Load, story: Story, expectation: Expectation) -> list[str]:
    """I9: it says 200 before, what the fault makes of it in between, and 200 after."""
    before = {probe.status for probe in load.probes if probe.began_at + probe.seconds < story.began_at}
    settled = [
        probe.status
        for probe in load.probes
        if story.began_at + READY_WITHIN_SECONDS < probe.began_at and probe.began_at + probe.seconds < story.heals_at
    ]
    after = [probe.status for probe in load.probes if probe.began_at > story.healed_at + READY_WITHIN_SECONDS]
    after_all = [
        probe.status for probe in load.probes if probe.began_at > story.healed_at + expectation.recovers_within_seconds
    ]
    broken = [] if before == {200} else [f"I9 before the fault /readyz said {before}"]
    if expectation.readiness == "away" and 200 in settled:
        broken.append("I9 /readyz said 200 while the database was away")
    if expectation.readiness == "ready" and {*settled} - {200}:
        broken.append(f"I9 /readyz said { ({*settled} - {200}) } while the database answered")
    if not after or {*after_all} - {200}:
        broken.append(f"I9 after the fault /readyz said {({*after_all} - {200}) or 'nothing'}")
    return broken


async def check_store(load: Load, expectation: Expectation) -> list[str]:
    """I1, I2 and I7: of what is in the database now."""
    promises, stage = load.promises, load.stage
    async with stage.database() as database:
        digests = {secret.digest(token): name for name, (_, token) in promises.created.items()}
        stored = await database.fetch("SELECT id, token_hash, revoked_at FROM api_tokens")
        found = {row["token_hash"]: row["revoked_at"] for row in stored}
        active = await database.fetch(
            "SELECT user_id, count(*) AS tokens FROM api_tokens WHERE revoked_at IS NULL GROUP BY user_id"
        )
        generations = await database.fetch("SELECT user_id, generation_id FROM generations")
        totals = await database.fetch(
            "SELECT user_id, sum(cost) AS cost FROM usage_rollups WHERE key_id = -1 AND model_id = -1 GROUP BY user_id"
        )
        meters = await database.fetch(
            "SELECT t.token_hash, m.request_count FROM api_token_meters AS m INNER JOIN api_tokens AS t ON t.id = m.token_id"
        )
    lost = lost_writes(promises.imported, Counter(row["generation_id"] for row in generations))
    lost += [f"I1 token {name} is not there" for digest, name in digests.items() if digest not in found]
    lost += [
        f"I1 token {name} is not revoked"
        for digest, name in digests.items()
        if name in promises.revoked and digest in found and found[digest] is None
    ]
    limits = [f"I2 user {row['user_id']} has {row['tokens']} tokens" for row in active if row["tokens"] > ACTIVE_MAX]
    by_user = Counter(row["user_id"] for row in generations)
    writers = {writer.id for writer in stage.writers}
    limits += [
        f"I2 user {row['user_id']} has imported {by_user[row['user_id']]} and is shown {row['cost']}"
        for row in totals
        if row["user_id"] in writers and row["cost"] != by_user[row["user_id"]]
    ]
    counts = {row["token_hash"]: row["request_count"] for row in meters}
    return lost + limits + check_meters(promises.passed, counts, expectation)


def lost_writes(imported: dict[str, int], stored: Counter[str]) -> list[str]:
    """I1 and I2 of imports: each that was acknowledged is there, and once."""
    lost = [f"I1 generation {name} is not there" for name in imported if not stored[name]]
    return lost + [f"I2 generation {name} is there {count} times" for name, count in stored.items() if count > 1]


def check_meters(passed: dict[str, int], counts: dict[bytes, int], expectation: Expectation) -> list[str]:
    """I1 and I2 of the meters: who was let in is counted, and no token was let in more often than its limit."""
    broken = [] if expectation.loses_counts else [
        f"I1 a token was let in {times} times and counted {counts[secret.digest(token)]}"
        for token, times in passed.items()
        if counts[secret.digest(token)] < times
    ]  # fmt: skip
    # a run may take two windows
    return broken + [f"I2 a token was let in {count} times" for count in counts.values() if count > 2 * RATE_LIMIT]


async def check_database(stage: Stage) -> list[str]:
    """I7: no more connections than were agreed on, none of them in the middle of something."""
    replicas = 2 if stage.needs.separate_scheduler else 0
    allowed = (stage.needs.workers + replicas) * POOL_SIZE
    async with stage.database() as database:
        await asyncio.sleep(0.5)
        rows = await database.fetch(
            "SELECT state, now() - state_change AS since FROM pg_stat_activity WHERE application_name = 'openrouter-watcher'"
        )
    broken = [] if len(rows) <= allowed else [f"I7 {len(rows)} connections, {allowed} allowed"]
    stuck = [
        row
        for row in rows
        if str(row["state"]).startswith("idle in transaction") and row["since"].total_seconds() > 0.3
    ]
    return broken + ([f"I7 {len(stuck)} are idle in transaction"] if stuck else [])


def check_process(stage: Stage, story: Story) -> list[str]:
    """I5 and I8: what the service and its database have said, and how large it has become."""
    said = stage.log.read_text(errors="replace")
    said += stage.place.log.read_text(errors="replace") if stage.place.log.exists() else ""
    broken = [f"I5 a secret is in the log: {canary[:8]}…" for canary in stage.secrets if canary in said]
    if trace := re.search(r'[^\n]*"unexpected error"[^\n]*', said):
        broken.append(f"I3 {trace[0]}")
    grown = story.resident_mib_after - story.resident_mib_before
    if grown > RESIDENT_GROWTH_MAX_MIB:
        broken.append(f"I8 {grown:.0f} MiB more")
    return broken


async def check_revoked(load: Load) -> list[str]:
    """I2: whoever was told that a token is revoked is not let in with it; who was told that it is made, is."""
    broken: list[str] = []
    for name, (_, token) in [*load.promises.created.items()][-20:]:
        if name in load.promises.unclear - load.promises.revoked:
            continue
        wanted = 401 if name in load.promises.revoked else 200
        answer = await load.stage.client.get("/api/v1/token", headers=bearer(token))
        if answer.status_code != wanted:
            broken.append(
                f"I2 a token that is {'revoked' if wanted == 401 else 'live'} is answered {answer.status_code}"
            )
    return broken


async def check(load: Load, story: Story, expectation: Expectation) -> list[str]:
    """All of them; what is broken, in words that begin with its number."""
    return [
        *check_answers(load, story, expectation),
        *check_readiness(load, story, expectation),
        *await check_store(load, expectation),
        *await check_revoked(load),
        *await check_database(load.stage),
        *check_process(load.stage, story),
    ]
