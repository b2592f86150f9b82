"""What does a person see when something goes wrong? A page that says what, and what to do about it."""

from __future__ import annotations

from typing import Any

from litestar import Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from app.errors import AppError, NotFound, NotYours, TooManyRequests, Unavailable
from app.responses import as_app_error, framework_problem, log_unexpected
from app.web.guards import SAFE_METHODS, ForeignForm, FromElsewhere, SignInNeeded, VisitorRequest
from app.web.pages import Pages

# what the page's script shows in place, instead of the part that was asked for
_IN_PLACE = {"HX-Retarget": "#messages", "HX-Reselect": "#problem", "HX-Reswap": "innerHTML"}


def show_error(request: VisitorRequest, error: AppError) -> Response[Any]:
    """An error of ours."""
    headers = _IN_PLACE if is_partial(request) else {}
    return _pages(request).page(
        request,
        "error.html",
        error=error,
        headers=headers,
        advice=_advice(error),
        again=_address(request),
        request_id=request.scope["state"]["request_id"],
    )


def show_framework_error(request: VisitorRequest, error: HTTPException) -> Response[Any]:
    """The framework's own refusals."""
    return show_error(request, as_app_error(request, error))


def show_unexpected(request: VisitorRequest, error: Exception) -> Response[Any]:
    """Anything else; what happened is in the log, under the request's id."""
    log_unexpected(error, request.scope)
    return show_error(request, AppError())


def ask_to_sign_in(request: VisitorRequest, _: SignInNeeded) -> Response[Any]:
    """And then lead to the page that was asked for. What was sent with a form is lost."""
    is_page = request.method in SAFE_METHODS and not is_partial(request)
    pages = _pages(request)
    answer = pages.redirect("/sign-in", next=_address(request) if is_page else None, why=None if is_page else "ended")
    if is_partial(request):
        return Response(None, status_code=401, headers={"HX-Redirect": answer.headers["Location"]})
    return answer


def open_again(request: VisitorRequest, _: FromElsewhere) -> Response[Any]:
    """Leads to the same page once more, now from a page of ours: then the browser sends the cookie."""
    return _pages(request).page(request, "opening.html", again=_address(request))


def show_or_tell(request: VisitorRequest, error: HTTPException) -> Response[Any]:
    """For addresses that no page has: a page for a person's browser, a problem for everybody else."""
    is_for_a_person = "text/html" in request.headers.get("accept", "") and not request.scope["path"].startswith("/api/")
    return show_framework_error(request, error) if is_for_a_person else framework_problem(request, error)


def is_partial(request: VisitorRequest) -> bool:
    """Whether the page's script asks, in order to show a part of the answer."""
    return "hx-request" in request.headers


PAGE_ERRORS: ExceptionHandlersMap = {
    SignInNeeded: ask_to_sign_in,
    FromElsewhere: open_again,
    AppError: show_error,
    HTTPException: show_framework_error,
    Exception: show_unexpected,
}


def _advice(error: AppError) -> str:
    match error:
        case TooManyRequests():
            minutes = -(-error.retry_after_seconds // 60)
            return f"Try again in {minutes} minute{'' if minutes == 1 else 's'}."
        case Unavailable():
            return "Wait a few seconds and try again. If it stays like this, tell whoever runs this server."
        case NotFound() | NotYours():
            return "It may have been deleted, or the address is mistyped."
        case ForeignForm():
            return ""
        case AppError(status=500):
            return "The server's log says more, under this number:"
        case _:
            return "Go back and correct it."


def _address(request: VisitorRequest) -> str:
    """Of the page itself, without the part that a proxy knows."""
    query = request.scope["query_string"].decode("latin-1")
    return request.scope["path"] + (f"?{query}" if query else "")


def _pages(request: VisitorRequest) -> Pages:
    return request.app.state.pages
