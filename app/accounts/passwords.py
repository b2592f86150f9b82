"""Is a password good enough, and is it the right one? Hashing happens off the event loop, a few at a time."""

from __future__ import annotations

import asyncio
import os
import secrets
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

import argon2
from zxcvbn import zxcvbn

from app.accounts.addresses import Address
from app.crowds import HOLD_SECONDS, turn_away
from app.errors import Unavailable, WeakPassword

P = ParamSpec("P")
R = TypeVar("R")

# OWASP's first choice; one lane, because several passwords are hashed at once anyway. 46 MiB each.
MEMORY_KIB, ROUNDS, LANES = 47104, 1, 1
SALT_BYTES, DIGEST_BYTES = 16, 32
# a stored hash that asks for more is not ours, and would be a way to exhaust the memory
MEMORY_MAX_KIB, ROUNDS_MAX, LANES_MAX = 1024 * 1024, 10, 16
CONCURRENT_MAX = max((os.cpu_count() or 1) - 1, 1)  # one processor is left to those who do not log in
WAITING_MAX = 64
TURNS_AHEAD = 2  # who is being looked up while others' passwords are hashed
TURN_PATIENCE_SECONDS = 5.0  # longer than a full line takes; a database that is silent must not make it minutes

MAX_BYTES = 1024
MIN_SCORE = 3
SCORED_LENGTH = 72  # zxcvbn raises beyond
PRODUCT_WORDS = ("openrouter", "watcher", "openrouter-watcher", "openrouterwatcher")


class Passwords:
    """Argon2id, bounded in how much of the machine it takes."""

    def __init__(
        self,
        *,
        min_length: int,
        concurrent_max: int = CONCURRENT_MAX,
        waiting_max: int = WAITING_MAX,
        hold_seconds: float = HOLD_SECONDS,
    ) -> None:
        """`concurrent_max` at once in threads of their own (argon2 lets go of the interpreter), `waiting_max` in line.

        Who finds the line full hears of it after about `hold_seconds`.
        """
        self._hold_seconds = hold_seconds
        self._min_length = min_length
        self._hasher = argon2.PasswordHasher(
            time_cost=ROUNDS, memory_cost=MEMORY_KIB, parallelism=LANES, salt_len=SALT_BYTES, hash_len=DIGEST_BYTES
        )
        self._threads = ThreadPoolExecutor(concurrent_max, thread_name_prefix="passwords")
        # of its own, because the oddest passwords take seconds to judge: they may hold up each other, but no login
        self._judge = ThreadPoolExecutor(1, thread_name_prefix="judge")
        self._places = self._entrances = concurrent_max + waiting_max
        self._turns = asyncio.Semaphore(concurrent_max + TURNS_AHEAD)
        self._decoy = _hash_of_nothing()

    async def hash(self, password: str) -> str:
        """A PHC string. Raises Unavailable when too many are waiting."""
        return await self._in_thread(self._threads, self._hasher.hash, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether it is the right one; without a hash the same work is done for nothing. Raises Unavailable."""
        return await self._in_thread(self._threads, self._verify, password, password_hash)

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """For who asks the database for what a password is compared with. Raises Unavailable when too many wait, or too long.

        Many more than can be hashed at once would only keep its connections from everybody else.
        """
        if self._entrances == 0:
            await turn_away(self._hold_seconds)
        self._entrances -= 1
        try:
            try:
                async with asyncio.timeout(TURN_PATIENCE_SECONDS):
                    await self._turns.acquire()
            except TimeoutError as error:
                raise Unavailable from error
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._entrances += 1

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def require_length(self, password: str, field: str) -> None:
        """Raises WeakPassword. Counted in code points, so that no script is worse off; only the upper bound is bytes."""
        if len(password) < self._min_length:
            raise WeakPassword((field, f"must have at least {self._min_length} characters"))
        if is_too_long(password):
            raise WeakPassword((field, f"must have at most {MAX_BYTES} bytes"))

    async def require_strong(self, password: str, address: Address, field: str) -> None:
        """Raises WeakPassword, which names `field` and says why. May take seconds of a thread for the oddest passwords."""
        self.require_length(password, field)
        reason = await self._in_thread(self._judge, weakness, password, address)
        if reason:
            raise WeakPassword((field, reason))

    def close(self) -> None:
        """Lets the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._judge.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password: str, password_hash: str | None) -> bool:
        stored = self._decoy if password_hash is None else password_hash
        try:
            return _is_bounded(stored) and self._hasher.verify(stored, password) and password_hash is not None
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError, UnicodeEncodeError):
            return False

    async def _in_thread(
        self, threads: ThreadPoolExecutor, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        if self._places == 0:
            await turn_away(self._hold_seconds)
        work = asyncio.wrap_future(threads.submit(function, *args, **kwargs))
        self._places -= 1
        work.add_done_callback(self._free_place)
        # shielded: a client that goes away must not free a place whose thread is still busy
        return await asyncio.shield(work)

    def _free_place(self, _: asyncio.Future[Any]) -> None:
        self._places += 1


def is_too_long(password: str) -> bool:
    """Nobody has such a password, so nothing need be hashed to refuse it."""
    return len(password.encode()) > MAX_BYTES


def weakness(password: str, address: Address) -> str | None:
    """Why a guesser would find it soon, in zxcvbn's words, or None. It sees the first 72 characters."""
    words = [address.email, address.key, address.key.partition("@")[0], *PRODUCT_WORDS]
    result = zxcvbn(password[:SCORED_LENGTH], user_inputs=words)
    if result["score"] >= MIN_SCORE:
        return None
    feedback = result["feedback"]
    sentences = [feedback["warning"], *feedback["suggestions"]]
    return "is too easy to guess. " + " ".join(sentence.rstrip(".") + "." for sentence in sentences if sentence)


def _hash_of_nothing() -> str:
    """What nobody's password has as its hash, with today's parameters: verifying against it is the same work."""
    salt, digest = (b64encode(secrets.token_bytes(n)).rstrip(b"=").decode() for n in (SALT_BYTES, DIGEST_BYTES))
    return f"$argon2id$v=19$m={MEMORY_KIB},t={ROUNDS},p={LANES}${salt}${digest}"


def _is_bounded(password_hash: str) -> bool:
    parameters = argon2.extract_parameters(password_hash)
    return (
        parameters.memory_cost <= MEMORY_MAX_KIB
        and parameters.time_cost <= ROUNDS_MAX
        and parameters.parallelism <= LANES_MAX
    )
