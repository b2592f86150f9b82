"""Which errors does a caller see, and in which words? Knows nothing of HTTP frameworks."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

REALM = "openrouter-watcher"


class InvalidField(msgspec.Struct, frozen=True):
    """One thing wrong with a request: where (a JSON pointer as a URI fragment, RFC 6901), and what."""

    pointer: str
    detail: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[InvalidField] | None = None


class AppError(Exception):
    """Something went wrong inside the service."""

    # Subclasses: the docstring is the public text. Anything private travels by `raise … from`.
    status: int = 500
    code: str = "internal"

    def __init__(self, detail: str | None = None) -> None:
        """`detail` replaces the docstring as the public text."""
        self.detail = detail or (type(self).__doc__ or "").strip().split("\n")[0]
        super().__init__(self.detail)

    @property
    def headers(self) -> dict[str, str]:
        """Response headers that belong to this error."""
        return {}

    def problem(self) -> Problem:
        """The one mapping from an error to what the caller reads."""
        return Problem(
            type=f"urn:openrouter-watcher:problem:{self.code}",
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            code=self.code,
        )


class Malformed(AppError):
    """The request body is not well-formed JSON in UTF-8."""

    status, code = 400, "malformed"


class TokenLimitReached(AppError):
    """Maximum number of API tokens reached."""

    status, code = 400, "token_limit_reached"


class KeyLimitReached(AppError):
    """Maximum number of OpenRouter keys reached."""

    status, code = 400, "key_limit_reached"


class Unauthenticated(AppError):
    """Valid credentials are required."""

    status, code = 401, "unauthenticated"

    def __init__(self, detail: str | None = None, *, credential_sent: bool = False) -> None:
        """`credential_sent` tells the caller that the credential was read and refused (RFC 6750, 3.1)."""
        super().__init__(detail)
        self.credential_sent = credential_sent

    @property
    def headers(self) -> dict[str, str]:
        """The challenge; `error` only when there was a credential to be wrong."""
        error = ', error="invalid_token"' if self.credential_sent else ""
        return {"WWW-Authenticate": f'Bearer realm="{REALM}"{error}'}


class WrongPassword(Unauthenticated):
    """The email address or the password is wrong."""

    code = "wrong_credentials"


class Forbidden(AppError):
    """You may not do this."""

    status, code = 403, "forbidden"


class PasswordRefused(Forbidden):
    """The password is wrong."""

    code = "wrong_password"


class NotYours(Forbidden):
    """This belongs to another user."""

    code = "not_yours"


class RegistrationClosed(Forbidden):
    """Registration is closed on this server; ask its operator for an account."""

    code = "registration_closed"


class NotFound(AppError):
    """There is nothing here."""

    status, code = 404, "not_found"


class MethodNotAllowed(AppError):
    """This method is not available here."""

    status, code = 405, "method_not_allowed"

    def __init__(self, allowed: set[str]) -> None:
        """`allowed` are the methods that do work here."""
        super().__init__()
        self.allowed = allowed

    @property
    def headers(self) -> dict[str, str]:
        """`Allow`, as RFC 9110 demands."""
        return {"Allow": ", ".join(sorted(self.allowed))}


class TooSlow(AppError):
    """The request body came too slowly."""

    status, code = 408, "too_slow"

    @property
    def headers(self) -> dict[str, str]:
        """The rest of the body is not waited for, so the connection is of no further use."""
        return {"Connection": "close"}


class EmailTaken(AppError):
    """There is an account with this email address already."""

    status, code = 409, "email_taken"


class KeyExists(AppError):
    """You have this OpenRouter key already."""

    status, code = 409, "key_exists"


class SyncUnderWay(AppError):
    """This key is being read at this moment."""

    status, code = 409, "sync_under_way"


class TooLarge(AppError):
    """The request body is larger than this endpoint accepts."""

    status, code = 413, "too_large"


class UnsupportedMediaType(AppError):
    """The request body's content type is not supported here."""

    status, code = 415, "unsupported_media_type"


BODY_ERRORS = (Malformed, TooSlow, TooLarge, UnsupportedMediaType)  # what may be wrong with any body before it is read


class Invalid(AppError):
    """The request is well-formed, but something in it is not acceptable."""

    status, code = 422, "invalid"

    def __init__(self, *errors: tuple[str, str]) -> None:
        """`errors` are pairs of field name ("" for the whole request) and what is wrong with it."""
        super().__init__(errors[0][1] if len(errors) == 1 else None)
        self.errors = [InvalidField(f"#/{field}" if field else "#", detail) for field, detail in errors]

    def problem(self) -> Problem:
        """Adds the list of fields."""
        return msgspec.structs.replace(super().problem(), errors=self.errors)


class WeakPassword(Invalid):
    """The password is too weak."""

    code = "weak_password"


class TooManyRequests(AppError):
    """Too many attempts; try again later."""

    status, code = 429, "too_many_requests"

    def __init__(self, retry_after_seconds: int) -> None:
        """`retry_after_seconds` until the next attempt has a chance."""
        super().__init__()
        self.retry_after_seconds = max(1, retry_after_seconds)

    @property
    def headers(self) -> dict[str, str]:
        """When to come back, in seconds."""
        return {"Retry-After": str(self.retry_after_seconds)}


class RateLimitReached(TooManyRequests):
    """This API token has made as many requests as it may for now; try again later."""

    code = "rate_limit_reached"


class Unavailable(AppError):
    """The service is busy or its database cannot be reached; try again shortly."""

    status, code = 503, "unavailable"

    @property
    def headers(self) -> dict[str, str]:
        """When to come back, in seconds."""
        return {"Retry-After": "1"}


class OpenRouterUnavailable(Unavailable):
    """OpenRouter cannot be reached, or gives no sensible answer; try again shortly."""

    code = "openrouter_unavailable"

    @property
    def headers(self) -> dict[str, str]:
        """When to come back, in seconds."""
        return {"Retry-After": "30"}


class OperatorError(Exception):
    """Something only the person who runs the service can mend; the text is a plain sentence for them."""
