"""Which faults does the service withstand? `python -m tests.faults [NAME …]` plays one after the other and prints a table."""

from __future__ import annotations

import argparse
import asyncio
import sys
import traceback

from app.accounts.passwords import Passwords
from tests.cast import PASSWORD
from tests.faults.database_faults import DATABASE_FAULTS
from tests.faults.fault import Fault, Outcome, Pace, play
from tests.faults.network_faults import NETWORK_FAULTS
from tests.faults.openrouter_faults import OPENROUTER_FAULTS
from tests.faults.process_faults import PROCESS_FAULTS
from tests.faults.stage import stage

FAULTS = (*DATABASE_FAULTS, *NETWORK_FAULTS, *PROCESS_FAULTS, *OPENROUTER_FAULTS)
HEAD = "fault                        requests    2xx   4xx   503  other  recovery  slowest  invariants"


async def run(faults: list[Fault], pace: Pace, *, keep: bool) -> bool:
    """Whether all invariants held."""
    passwords = Passwords(min_length=8)
    password_hash = await passwords.hash(PASSWORD)
    passwords.close()
    is_well = True
    print(HEAD, flush=True)
    for fault in faults:
        if reason := fault.lacks():
            print(f"{fault.name:<28}left out: {reason}", flush=True)
            continue
        try:
            async with stage(fault.needs, password_hash) as made:
                outcome = await play(fault, made, pace)
                if keep and outcome.broken:
                    print(made.log.read_text(errors="replace"), file=sys.stderr)
        except Exception:  # noqa: BLE001 -- the others are played all the same
            traceback.print_exc()
            outcome = Outcome(fault.name, 0, {}, 0, 0, ["the stage fell"])
        print(line(outcome), flush=True)
        is_well = is_well and not outcome.broken
    return is_well


def line(outcome: Outcome) -> str:
    """Of the table."""
    by_class = {"2xx": 0, "4xx": 0, "503": 0, "other": 0}
    for status, count in outcome.statuses.items():
        by_class["503" if status == 503 else f"{status // 100}xx" if status // 100 in (2, 4) else "other"] += count
    counts = "".join(f"{count:>{width}}" for count, width in zip(by_class.values(), (7, 6, 6, 7), strict=True))
    verdict = "ok" if not outcome.broken else "BROKEN\n    " + "\n    ".join(outcome.broken)
    times = f"{outcome.recovery_seconds:>8.1f} s{outcome.slowest_seconds:>7.1f} s"
    return f"{outcome.name:<28}{outcome.requests:>9}{counts}{times}  {verdict}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="or a part of one: " + ", ".join(f.name for f in FAULTS)
    )
    parser.add_argument("--rate", type=float, default=Pace().per_second, help="requests a second")
    parser.add_argument("--log", action="store_true", help="show what the service said where something broke")
    arguments = parser.parse_args()
    chosen = [fault for fault in FAULTS if not arguments.names or any(name in fault.name for name in arguments.names)]
    sys.exit(0 if chosen and asyncio.run(run(chosen, Pace(arguments.rate), keep=arguments.log)) else 1)
