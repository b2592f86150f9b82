"""Whose things is a command about?"""

from __future__ import annotations

from app.accounts import repository as accounts
from app.accounts.addresses import parse_address
from app.accounts.structs import StoredUser
from app.database import Database
from app.errors import NotFound


async def find_user(db: Database, address: str) -> StoredUser:
    """Raises Invalid or NotFound."""
    found = await accounts.find_user(db, parse_address(address))
    if found is None:
        raise NotFound(f"There is no account {address}.")
    return found
