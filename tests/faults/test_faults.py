"""Do users and figures outlive a fault? The short form of `make faults`, which plays all of them for as long as they take."""

from __future__ import annotations

import msgspec

from tests.faults.fault import Pace, play
from tests.faults.network_faults import NETWORK_FAULTS
from tests.faults.stage import Needs, stage

PACE = Pace(per_second=25, before_seconds=0.5, after_seconds=1.5)


async def test_no_promise_is_broken_by_connections_that_end_at_commit(password_hash: str) -> None:
    [fault] = (fault for fault in NETWORK_FAULTS if fault.name == "cut at COMMIT")
    expectation = msgspec.structs.replace(fault.expectation, recovers_within_seconds=2)
    fault = msgspec.structs.replace(fault, seconds=0.5, expectation=expectation)
    async with stage(Needs(workers=1), password_hash) as made:
        outcome = await play(fault, made, PACE)
    assert outcome.broken == []
    assert outcome.statuses[503] > 0
