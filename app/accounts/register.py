"""How does an account come to be? For the HTTP endpoint and the command line."""

from __future__ import annotations

from app.accounts import repository
from app.accounts.addresses import parse_address
from app.accounts.passwords import Passwords
from app.accounts.structs import Account, Credentials, Policy
from app.database import Database
from app.errors import RegistrationClosed
from app.events import repository as events
from app.events.structs import OPERATOR, Client


async def is_open(db: Database, policy: Policy) -> bool:
    """Whether a stranger may make an account at this moment."""
    if policy.registration == "first":
        return not await repository.has_users(db)
    return policy.registration == "open"


async def register(
    db: Database, passwords: Passwords, policy: Policy, credentials: Credentials, client: Client
) -> Account:
    """A stranger makes an account, as far as the policy lets them.

    Raises RegistrationClosed, Invalid, WeakPassword, TooManyRequests or EmailTaken. The attempt is counted before the
    password's strength is judged, because judging may be dear; a taken address counts as well, because it tells something.
    """
    if not await is_open(db, policy):
        raise RegistrationClosed
    address = parse_address(credentials.email)
    passwords.require_length(credentials.password, "password")
    await repository.take_attempt(db, policy.registration_limit, "registration", client.network)
    await passwords.require_strong(credentials.password, address, "password")
    password_hash = await passwords.hash(credentials.password)
    create = repository.create_first_user if policy.registration == "first" else repository.create_user
    async with db.transaction() as connection:
        account = await create(connection, address, password_hash)
        await events.note(connection, account.id, "registered", client)
    return account


async def create_user(db: Database, passwords: Passwords, credentials: Credentials) -> Account:
    """The operator makes an account. Raises Invalid, WeakPassword or EmailTaken."""
    address = parse_address(credentials.email)
    await passwords.require_strong(credentials.password, address, "password")
    password_hash = await passwords.hash(credentials.password)
    async with db.transaction() as connection:
        account = await repository.create_user(connection, address, password_hash)
        await events.note(connection, account.id, "registered", OPERATOR)
    return account
