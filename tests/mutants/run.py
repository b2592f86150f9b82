"""Does a test turn red for this mutant? Runs those that are about its file, until the first one does."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
import traceback
from importlib.util import cache_from_source
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from tests.mutants.mutant import Mutant

PROJECT = Path(__file__).parent.parent.parent
Fate = Literal["killed", "survived", "timeout", "broken"]
# by pytest's exit code; with another one it has not judged
FATES: dict[int, Fate] = {0: "survived", 1: "killed", 2: "killed"}
TIMEOUT_SECONDS = 240
OPTIONS = (
    "--quiet", "--exitfirst", "-p", "no:cacheprovider", "-p", "pytest_asyncio.plugin", "-p", "_hypothesis_pytestplugin",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip

# which tests are about a file, those first that are likeliest to notice: the first line that begins as the file's path does
TABLE, ISOLATION, ROUTES = "tests/access/test_table.py", "tests/stats/test_isolation.py", "tests/test_routes.py"
SESSIONS, REFRESH = "tests/accounts/test_sessions.py", "tests/accounts/test_refresh.py"
PAGES, COOKIES = "tests/web/test_pages.py", "tests/web/test_sessions.py"
KEYS, IMPORTS, TWO_USERS = "tests/keys/test_keys_api.py", "tests/usage/test_import.py", "tests/usage/test_two_users.py"
TESTS: dict[str, tuple[str, ...]] = {
    "sql/accounts/rotate": (REFRESH, "tests/test_races.py", "tests/events", "tests/accounts/test_access_tokens.py", TABLE),
    "sql/accounts/purge": ("tests/accounts/test_account.py", SESSIONS, REFRESH),
    "sql/accounts/end_session": (SESSIONS, "tests/events"),
    "sql/accounts/find_user": ("tests/accounts/test_login.py", "tests/events"),
    "sql/accounts/list_users": ("tests/commands/test_user.py", "tests/commands/test_commands.py"),
    "sql/accounts/check_any": ("tests/accounts/test_registration.py", PAGES),
    "sql/accounts/authorize_cookie": (TABLE, COOKIES),
    "sql/accounts/create_browser": (SESSIONS, COOKIES),
    "sql/accounts/find_caller": (TABLE,),
    "sql/accounts/set_": ("tests/accounts/test_passwords.py", "tests/accounts/test_account.py", SESSIONS),
    "sql/accounts": (SESSIONS, "tests/accounts", COOKIES, TABLE),
    "sql/tokens/authorize": (TABLE, "tests/tokens/test_guard.py", "tests/tokens/test_authorize.py"),
    "sql/tokens/list_tokens": ("tests/tokens/test_list.py", "tests/access", ISOLATION),
    "sql/tokens/revoke_leaked": ("tests/tokens/test_leaks.py", "tests/commands/test_token.py"),
    "sql/tokens/revoke": ("tests/tokens/test_revoke.py", "tests/events", "tests/access"),
    "sql/tokens/purge": ("tests/accounts/test_account.py", "tests/tokens"),
    "sql/tokens": ("tests/tokens/test_create.py", "tests/tokens/test_list.py", PAGES, "tests/access", "tests/tokens"),
    "sql/keys/purge": (TWO_USERS, "tests/accounts/test_account.py", "tests/usage/test_totals.py", KEYS),
    "sql/keys": (KEYS, TWO_USERS, "tests/access", IMPORTS, "tests/usage/test_management_keys.py", "tests/public/test_keys.py",
                 ISOLATION, "tests/keys", "tests/usage/test_leases.py"),
    "sql/events": ("tests/events", "tests/access"),
    "sql/hygiene": ("tests/hygiene", "tests/access"),
    "sql/metrics": ("tests/usage/test_leases.py", "tests/metrics"),
    "sql/stats": (ISOLATION, "tests/stats/test_refusals.py", "tests/public/test_stats.py", "tests/public/test_figures.py",
                  "tests/public/test_metrics.py", "tests/stats/test_overview.py", "tests/stats/test_usage.py", PAGES,
                  "tests/access"),
    "sql/usage/purge": (TWO_USERS, "tests/accounts/test_account.py", KEYS, "tests/usage/test_totals.py"),
    "sql/usage": (TWO_USERS, IMPORTS, "tests/usage/test_management_keys.py", "tests/usage/test_totals.py",
                  "tests/usage/test_leases.py"),
    "app/accounts/jwt": ("tests/accounts/test_access_tokens.py", REFRESH, "tests/test_settings.py"),
    "app/accounts/passwords": ("tests/accounts/test_passwords.py", "tests/accounts/test_registration.py"),
    "app/accounts/verify": ("tests/accounts/test_login.py", "tests/accounts/test_limits.py", "tests/accounts/test_passwords.py",
                            "tests/events"),
    "app/accounts/repository": (SESSIONS, REFRESH, "tests/accounts", "tests/commands/test_commands.py", TABLE),
    "app/accounts/change": ("tests/accounts/test_account.py", "tests/accounts/test_passwords.py"),
    "app/accounts/register": ("tests/accounts/test_registration.py", "tests/accounts/test_limits.py"),
    "app/accounts/sessions": (SESSIONS, "tests/events", COOKIES),
    "app/accounts/controller": (REFRESH, SESSIONS, TABLE, "tests/accounts/test_login.py"),
    "app/accounts/guards": ("tests/accounts/test_account.py", TABLE),
    "app/accounts": (TABLE, "tests/accounts"),
    "app/tokens/secret": ("tests/tokens/test_secret.py",),
    "app/tokens/authorization": ("tests/tokens/test_authorize.py", "tests/tokens", TABLE),
    "app/tokens/controller": ("tests/tokens/test_create.py", TABLE, "tests/tokens"),
    "app/tokens": (TABLE, "tests/tokens", PAGES),
    "app/keys/vault": ("tests/keys/test_vault.py", "tests/keys/test_encryption.py"),
    "app/keys/encryption": ("tests/keys/test_encryption.py", "tests/commands/test_keys.py"),
    "app/keys": (KEYS, TABLE, "tests/keys", "tests/usage/test_leases.py", IMPORTS, "tests/usage/test_management_keys.py"),
    "app/metrics": ("tests/metrics", ROUTES),
    "app/cursors": ("tests/test_cursors.py", ISOLATION),
    "app/web": (ROUTES, COOKIES, TABLE, PAGES),
    "app/": (ROUTES, TABLE),
}  # fmt: skip


class Verdict(msgspec.Struct, frozen=True):
    """What became of a mutant; `red`: the test that turned red."""

    fate: Fate
    seconds: float
    red: str


def judges_of(path: str) -> list[str]:
    """In the order in which they are asked."""
    return next(list(tests) for start, tests in TESTS.items() if path.startswith(start))


def judge(mutant: Mutant, copy: Path) -> Verdict:
    """Writes it into the copy, runs the tests there, and writes back what was there before."""
    place = copy / mutant.path
    original = place.read_bytes()
    stale = Path(cache_from_source(str(place)))
    place.write_text(mutant.text(copy), encoding="utf-8")
    stale.unlink(missing_ok=True)  # of the same size and second as the original's, perhaps
    began = time.monotonic()
    try:
        first, *others = judges_of(mutant.path)
        fate, said = _run(copy, [first])
        if fate == "survived" and others:  # which need not be collected for most
            fate, said = _run(copy, others)
    finally:
        place.write_bytes(original)
        stale.unlink(missing_ok=True)
    red = re.findall("^(?:FAILED|ERROR) (\\S+)", said, re.MULTILINE)
    return Verdict(fate, time.monotonic() - began, red[0] if red else "")


def sound(tests: list[str], copy: Path) -> str | None:
    """What they say if one of them is red without any mutant."""
    fate, said = _run(copy, tests, 10 * TIMEOUT_SECONDS)
    return None if fate == "survived" else said


def _run(copy: Path, tests: list[str], timeout_seconds: float = TIMEOUT_SECONDS) -> tuple[Fate, str]:
    """In a child of this process, which has the libraries in memory but nothing of ours."""
    log = copy / "mutant.log"
    child = os.fork()
    if child == 0:
        _become_pytest(copy, log, tests)
    deadline = time.monotonic() + timeout_seconds
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "timeout", ""
        time.sleep(0.02)
    said = log.read_text(encoding="utf-8", errors="replace")
    code = os.waitstatus_to_exitcode(status)
    return FATES.get(code, "broken"), said


def _become_pytest(copy: Path, log: Path, tests: list[str]) -> None:
    os.setsid()  # so that its servers can be ended with it
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.chdir(copy)
    for name in [name for name in sys.modules if name.partition(".")[0] in {"app", "tests"}]:
        del sys.modules[name]
    sys.path[:] = [str(copy), *(entry for entry in sys.path if entry not in {"", str(PROJECT)})]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # loading them all takes longer than most tests
    try:
        code = pytest.main([*OPTIONS, *tests])
    except BaseException:  # noqa: BLE001 -- this process must not go on as its parent would
        traceback.print_exc()
        code = 3
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(code))
