"""Is this person who they say? The one place where a password is compared, for login and for whatever asks once more."""

from __future__ import annotations

from app.accounts import repository
from app.accounts.addresses import parse_address
from app.accounts.passwords import Passwords, is_too_long
from app.accounts.structs import Caller, Credentials, Policy, StoredUser
from app.database import Database
from app.errors import Invalid, PasswordRefused, Unavailable, WrongPassword
from app.events import repository as events
from app.events.structs import Client


async def log_in(
    db: Database, passwords: Passwords, policy: Policy, credentials: Credentials, client: Client
) -> StoredUser:
    """Who knows this address and its password. Raises as `verify` does, and Unavailable when too many want to log in."""
    try:
        address = parse_address(credentials.email)
    except Invalid:
        address = None  # no account can have it: refused as unknown, after the same work
    about = address.key if address else credentials.email.casefold()
    async with passwords.turn():
        found = await repository.find_user(db, address) if address else None
        try:
            return await verify(db, passwords, policy, found, about, credentials.password, client)
        except WrongPassword:
            await events.note_refusal(db, found and found.id, "login_failed", client)
            raise


async def confirm(
    db: Database, passwords: Passwords, policy: Policy, caller: Caller, password: str, client: Client
) -> StoredUser:
    """The caller, who gave their password once more, under the same limits as a login.

    Raises PasswordRefused where it is wrong: the session is all right.
    """
    user = await repository.find_credentials(db, caller.user_id)
    about = parse_address(caller.email).key
    try:
        return await verify(db, passwords, policy, user, about, password, client)
    except WrongPassword as error:
        await events.note_refusal(db, caller.user_id, "password_refused", client)
        raise PasswordRefused from error


async def verify(
    db: Database,
    passwords: Passwords,
    policy: Policy,
    user: StoredUser | None,
    about: str,
    password: str,
    client: Client,
) -> StoredUser:
    """The user, if it is their password and their account is open.

    Raises WrongPassword, the same after the same work whether there is no such user, the account is disabled or the password
    is wrong; TooManyRequests after too many failures. Failures count for `about` (an address's key) together with the client,
    so that a stranger elsewhere cannot lock anybody out, and for the client alone. Each attempt is counted before it is made
    and given back when it succeeds.
    """
    by_client = await repository.take_attempt(db, policy.login_client_limit, "login by client", client.network)
    try:
        by_pair = await repository.take_attempt(db, policy.login_limit, "login", about, client.network)
    except Exception:
        await repository.return_attempt(db, by_client)  # not made, so not failed
        raise
    try:
        is_right = not is_too_long(password) and await passwords.verify(password, user and user.password_hash)
    except Unavailable:
        await repository.return_attempt(db, by_client)  # not made either
        await repository.return_attempt(db, by_pair)
        raise
    if user is None or not is_right or not user.is_enabled:
        raise WrongPassword
    await repository.return_attempt(db, by_client)
    await repository.forget_attempts(db, by_pair)
    return await _rehashed(db, passwords, user, password) if passwords.needs_rehash(user.password_hash) else user


async def _rehashed(db: Database, passwords: Passwords, user: StoredUser, password: str) -> StoredUser:
    """The user with their password under today's parameters."""
    password_hash = await passwords.hash(password)
    if await repository.set_rehashed_password(db, user, password_hash):
        return StoredUser(user.id, user.email, password_hash, user.is_enabled)
    # another login of theirs was faster, or the password was changed
    current = await repository.find_credentials(db, user.id)
    if current is None or not current.is_enabled or not await passwords.verify(password, current.password_hash):
        raise WrongPassword
    return current
