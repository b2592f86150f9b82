"""What does it look like with something in it? The service on a simulated OpenRouter, with a year of usage; gone when it ends."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from app import embedded, migrate, server
from app import settings as settings_module
from app.accounts.passwords import Passwords
from app.accounts.register import create_user
from app.accounts.structs import Credentials
from app.connections import create_database
from app.database import Database
from app.errors import OperatorError
from app.keys import encryption
from app.keys import repository as keys
from app.keys.register import add_key
from app.logs import configure_logs
from app.settings import Settings
from app.simulator.server import serving
from app.simulator.world import Account, Key, World
from app.usage import repository as usage
from app.usage.structs import Activity, Cell, Measures
from app.usage.sync import sync_claimed
from app.watching import create_sync

ADDRESS, PASSWORD = "demo@example.com", "a year of tokens, simulated"
DAYS = 365
KEPT_DAYS = 30  # by OpenRouter; what is older can only come from us


def run(announce: Callable[..., None]) -> None:
    """Serves until SIGTERM or SIGINT. `announce` is told where and how, for programs and in lines for people.

    Raises OperatorError where it would fill a real database.
    """
    if os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE"):
        raise OperatorError("The demonstration keeps its data in a folder of its own; unset DATABASE_URL.")
    world = World(seed=1)
    account = _account(world)
    freelancer = world.add_account()
    inference_keys = [freelancer.add_key("freelancer")]
    freelancer.generate(KEPT_DAYS, keys=inference_keys)
    with tempfile.TemporaryDirectory(prefix="openrouter-watcher-demo-") as folder, _simulator(world) as base_url:
        Path(folder).chmod(0o711)  # as root the database runs under another user
        # the server's workers read their settings from the environment too
        os.environ |= {"DATA_DIR": folder, "OPENROUTER_BASE_URL": base_url}
        settings = settings_module.load()
        configure_logs(settings.log_level, settings.log_format)
        with embedded.running(settings.data_dir):
            asyncio.run(_fill(settings, account, inference_keys))
            url = f"http://{settings.host}:{settings.port}"
            announce(
                {"url": url, "email": ADDRESS, "password": PASSWORD, "openrouter_base_url": base_url},
                f"Log in at {url} as {ADDRESS} with the password: {PASSWORD}",
                f"OpenRouter is simulated at {base_url}; all of it is gone when this ends.",
            )
            server.serve(settings)


def _account(world: World) -> Account:
    account = world.add_account()
    account.credits = Decimal(400)
    for name in ("website", "support bot", "nightly evaluation", "anna"):
        account.add_key(name)
    account.generate(DAYS, per_day=12)
    return account


@contextmanager
def _simulator(world: World) -> Generator[str]:
    """In a thread of its own: the server takes the main one."""
    started, ended = threading.Event(), threading.Event()
    addresses: list[str] = []

    async def simulate() -> None:
        async with serving(world) as simulator:
            addresses.append(simulator.base_url)
            started.set()
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=lambda: asyncio.run(simulate()), daemon=True)
    thread.start()
    started.wait()
    try:
        yield addresses[0]
    finally:
        ended.set()
        thread.join()


async def _fill(settings: Settings, account: Account, inference_keys: list[Key]) -> None:
    """A user, a management key, inference keys of another account, and what is older than OpenRouter remembers."""
    await migrate.migrate(embedded.database_url(settings.data_dir))
    db = create_database(settings)
    await db.open()
    sync = create_sync(settings, db)
    passwords = Passwords(min_length=settings.password_min_length)
    try:
        await encryption.require_right_keys(db, sync.vault)
        user = await create_user(db, passwords, Credentials(ADDRESS, PASSWORD))
        manager = account.add_management_key("admin")
        manager_id = await add_key(sync, user.id, "company account", manager.secret, settings.max_api_keys_per_user)
        claim = await sync.claim(manager_id)
        assert claim is not None  # noqa: S101 -- nobody else is there
        await sync_claimed(sync, claim)
        await _remember(db, user.id, account)
        for key in inference_keys:
            await add_key(sync, user.id, key.name, key.secret, settings.max_api_keys_per_user)
    finally:
        passwords.close()
        await sync.openrouter.close()
        await db.close()


async def _remember(db: Database, user_id: int, account: Account) -> None:
    """Puts what OpenRouter has forgotten into the store, as if the service had been there all year."""
    first_kept = account.now.date() - timedelta(days=KEPT_DAYS)
    cells: dict[str, dict[Cell, Measures]] = defaultdict(dict)
    for (day, key_hash, model, provider), used in account.cost_by_cell().items():
        if day < first_kept and key_hash is not None:
            cells[key_hash][Cell(day, model, provider)] = Measures(
                used.requests,
                used.cost,
                used.byok_cost,
                used.prompt_tokens,
                used.completion_tokens,
                used.reasoning_tokens,
                used.cached_tokens,
            )
    last_day = first_kept - timedelta(days=1)
    first_day = last_day - timedelta(days=DAYS)
    days = [first_day + timedelta(days=n) for n in range(DAYS + 1)]
    activities = {key_hash: Activity(first_day, last_day, found) for key_hash, found in cells.items()}
    ids = await usage.name_ids(db, activities.values())
    async with db.transaction() as connection:
        await usage.begin_change(connection, user_id)
        holders = {key_hash: await keys.find_holder(connection, user_id, key_hash) for key_hash in activities}
        by_id = {holder.key_id: activities[key_hash] for key_hash, holder in holders.items() if holder}
        await usage.book_activity(connection, user_id, by_id, ids, first_day, last_day)
        await keys.set_activity_days(connection, user_id, list(by_id), first_day, last_day)
        await usage.refresh_days(connection, user_id, days)
