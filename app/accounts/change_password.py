"""How does a person get another password? For the endpoint and the page."""

from __future__ import annotations

from app.accounts import repository
from app.accounts.addresses import parse_address
from app.accounts.passwords import Passwords
from app.accounts.structs import Caller, PasswordChange, Policy
from app.accounts.verify import confirm
from app.database import Database
from app.errors import PasswordRefused
from app.events.structs import Client


async def change_password(
    db: Database, passwords: Passwords, policy: Policy, caller: Caller, change: PasswordChange, client: Client
) -> None:
    """And end all their other sessions. Raises PasswordRefused, WeakPassword, TooManyRequests."""
    verified = await confirm(db, passwords, policy, caller, change.current_password, client)
    # judging a password may be dear, so it is counted as at a registration
    await repository.take_attempt(db, policy.registration_limit, "password change", str(caller.user_id))
    await passwords.require_strong(change.new_password, parse_address(caller.email), "new_password")
    new_hash = await passwords.hash(change.new_password)
    verified_hash = verified.password_hash
    if not await repository.set_password(db, caller.user_id, new_hash, caller.session_id, verified_hash, client):
        raise PasswordRefused  # replaced since it was verified
