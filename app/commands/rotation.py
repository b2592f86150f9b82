"""The command that puts stored OpenRouter keys under another encryption key."""

from __future__ import annotations

import click

from app.commands.answers import Command, answer
from app.commands.database import with_database
from app.commands.progress import progress
from app.database import Database
from app.keys import encryption
from app.keys.vault import Vault
from app.settings import Settings


@click.command("rotate-keys", cls=Command)
def rotate_keys() -> None:
    """Re-encrypt every stored OpenRouter key.

    Under the first of ENCRYPTION_KEYS. While the service runs, if you like; it may be killed and run again.
    """

    async def rotate(settings: Settings, db: Database) -> None:
        vault = Vault(settings.encryption_keys)
        with progress("re-encrypting") as advance:
            done = await encryption.rotate(db, vault, advance)
        answer(
            {"reencrypted": done, "encryption_key": vault.key_id.hex()},
            f"{done} OpenRouter keys re-encrypted; all are under the encryption key {vault.key_id.hex()} now",
        )

    with_database(rotate)
