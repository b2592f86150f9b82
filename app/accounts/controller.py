"""`/api/auth`: accounts, logins and sessions over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Request, delete, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_204_NO_CONTENT

from app.accounts import repository, sessions
from app.accounts.change_password import change_password
from app.accounts.guards import CallerRequest, require_caller
from app.accounts.jwt import ACCESS_LIFETIME, Signer, digest_refresh_token, is_refresh_token, make_refresh_token
from app.accounts.passwords import Passwords
from app.accounts.register import register
from app.accounts.structs import (
    Account,
    Confirmation,
    Credentials,
    OpenedSession,
    PasswordChange,
    Policy,
    RefreshRequest,
    SessionEntry,
    Tokens,
)
from app.accounts.verify import confirm, log_in
from app.database import Database
from app.errors import (
    BODY_ERRORS,
    EmailTaken,
    Invalid,
    NotFound,
    NotYours,
    PasswordRefused,
    RegistrationClosed,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    WeakPassword,
    WrongPassword,
)
from app.pages import page_of
from app.requests import Clients, parse_id, parse_id_parameter
from app.responses import JSONResponse, problems

_BODY_ERRORS = (*BODY_ERRORS, Invalid, Unavailable)
_TOKENS_EXAMPLE = "Send the access token as `Authorization: Bearer …`; exchange the refresh token before it expires."


class PublicAuthController(Controller):
    """What needs no access token."""

    path = "/api/auth"
    tags = ("Accounts",)

    @post(
        "/register",
        operation_id="register",
        summary="Make an account",
        responses=problems(*_BODY_ERRORS, EmailTaken, WeakPassword, RegistrationClosed, TooManyRequests),
    )
    async def register(
        self,
        data: JSONBody[Credentials],
        request: Request[Any, Any, State],
        db: NamedDependency[Database],
        passwords: NamedDependency[Passwords],
        policy: NamedDependency[Policy],
        clients: NamedDependency[Clients],
    ) -> Account:
        """The password needs some length and must be hard to guess; there are no other rules for it."""
        return await register(db, passwords, policy, data, clients.of(request))

    @post(
        "/login",
        operation_id="login",
        summary="Open a session",
        description=_TOKENS_EXAMPLE,
        status_code=HTTP_200_OK,
        responses=problems(*_BODY_ERRORS, WrongPassword, TooManyRequests),
    )
    async def login(
        self,
        data: JSONBody[Credentials],
        request: Request[Any, Any, State],
        db: NamedDependency[Database],
        passwords: NamedDependency[Passwords],
        policy: NamedDependency[Policy],
        clients: NamedDependency[Clients],
        signer: NamedDependency[Signer],
    ) -> Tokens:
        """One and the same refusal for an unknown address, a wrong password and a disabled account."""
        user = await log_in(db, passwords, policy, data, clients.of(request))
        refresh_token = make_refresh_token()
        session = await sessions.open_session(
            db, user, policy, digest_refresh_token(refresh_token), clients.of(request)
        )
        if session is None:
            raise WrongPassword
        return _tokens(signer, session, refresh_token)

    @post(
        "/refresh",
        operation_id="refresh",
        summary="Exchange a refresh token",
        status_code=HTTP_200_OK,
        responses=problems(*_BODY_ERRORS, Unauthenticated),
    )
    async def refresh(
        self,
        data: JSONBody[RefreshRequest],
        request: Request[Any, Any, State],
        db: NamedDependency[Database],
        policy: NamedDependency[Policy],
        clients: NamedDependency[Clients],
        signer: NamedDependency[Signer],
    ) -> Tokens:
        """Each works once. Within 10 seconds the same successor is given again; later reuse ends the session."""
        if not is_refresh_token(data.refresh_token):
            raise Unauthenticated(credential_sent=True)
        successors = signer.successors(data.refresh_token)
        session = await repository.rotate_refresh_token(
            db, policy, digest_refresh_token(data.refresh_token), list(successors), clients.of(request)
        )
        return _tokens(signer, session, successors[session.refresh_hash])


class AuthController(Controller):
    """What a person does with their own account."""

    path = "/api/auth"
    tags = ("Accounts",)
    guards = (require_caller,)
    security = [{"access token": []}]  # noqa: RUF012 -- Litestar's own type

    @post("/logout", operation_id="logout", summary="End this session", status_code=HTTP_204_NO_CONTENT,
          responses=problems(Unauthenticated, Unavailable))  # fmt: skip
    async def logout(
        self, request: CallerRequest, db: NamedDependency[Database], clients: NamedDependency[Clients]
    ) -> None:
        """Its access token and its refresh token stop working at once."""
        await sessions.end_session(db, request.user.session_id, request.user, clients.of(request))

    @get("/me", operation_id="getMe", summary="Your account", responses=problems(Unauthenticated, Unavailable))
    async def me(self, request: CallerRequest) -> Account:
        """Whom this access token speaks for."""
        caller = request.user
        return Account(id=caller.user_id, email=caller.email, created_at=caller.created_at)

    @delete("/me", operation_id="deleteMe", summary="Delete your account",
            responses=problems(*_BODY_ERRORS, Unauthenticated, PasswordRefused, TooManyRequests))  # fmt: skip
    async def delete_me(
        self,
        data: JSONBody[Confirmation],
        request: CallerRequest,
        db: NamedDependency[Database],
        passwords: NamedDependency[Passwords],
        policy: NamedDependency[Policy],
        clients: NamedDependency[Clients],
    ) -> None:
        """Everything of it is refused and invisible at once, and removed soon after."""
        await confirm(db, passwords, policy, request.user, data.password, clients.of(request))
        await repository.delete_user(db, request.user.user_id)

    @post("/password", operation_id="changePassword", summary="Change your password", status_code=HTTP_204_NO_CONTENT,
          responses=problems(*_BODY_ERRORS, Unauthenticated, PasswordRefused, WeakPassword, TooManyRequests))  # fmt: skip
    async def change_password(
        self,
        data: JSONBody[PasswordChange],
        request: CallerRequest,
        db: NamedDependency[Database],
        passwords: NamedDependency[Passwords],
        policy: NamedDependency[Policy],
        clients: NamedDependency[Clients],
    ) -> None:
        """All other sessions end; API tokens stay as they are."""
        await change_password(db, passwords, policy, request.user, data, clients.of(request))

    @get("/sessions", operation_id="listSessions", summary="Your live sessions, newest first",
         responses=problems(Unauthenticated, Invalid, Unavailable))  # fmt: skip
    async def list_sessions(
        self,
        request: CallerRequest,
        db: NamedDependency[Database],
        policy: NamedDependency[Policy],
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 100,
        cursor: FromQuery[str | None] = None,
    ) -> JSONResponse[list[SessionEntry]]:
        """`last_used_at` is the login or the last refresh; in a browser the last use, to the minute."""
        before_id = parse_id_parameter("cursor", cursor) if cursor is not None else None
        entries = await repository.list_sessions(db, request.user, policy.session_idle_lifetime, before_id, limit + 1)
        return page_of(request, entries, limit, lambda entry: str(entry.id))

    @delete("/sessions", operation_id="endOtherSessions", summary="End all other sessions",
            responses=problems(Unauthenticated, Unavailable))  # fmt: skip
    async def end_other_sessions(
        self, request: CallerRequest, db: NamedDependency[Database], clients: NamedDependency[Clients]
    ) -> None:
        """This one stays."""
        await sessions.end_other_sessions(db, request.user, clients.of(request))

    @delete("/sessions/{session_id:str}", operation_id="endSession", summary="End a session",
            responses=problems(Unauthenticated, NotFound, NotYours, Unavailable))  # fmt: skip
    async def end_session(
        self,
        session_id: FromPath[str],
        request: CallerRequest,
        db: NamedDependency[Database],
        clients: NamedDependency[Clients],
    ) -> None:
        """At once; ending it again is no error."""
        await sessions.end_session(db, parse_id(session_id), request.user, clients.of(request))


def _tokens(signer: Signer, session: OpenedSession, refresh_token: str) -> Tokens:
    return Tokens(
        access_token=signer.sign(session.user_id, session.id),
        refresh_token=refresh_token,
        expires_in=int(ACCESS_LIFETIME.total_seconds()),
        refresh_expires_in=session.refresh_expires_in,
    )
