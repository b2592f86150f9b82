"""What did a person send with a form? Read as strictly as a JSON body is; and only from a form that was made for them."""

from __future__ import annotations

from typing import TypeAlias
from urllib.parse import parse_qsl

from litestar.di import Provide

from app.errors import Invalid, Malformed, UnsupportedMediaType
from app.web.guards import ForeignForm, SignedInRequest, VisitorRequest, browsers_of

FIELDS_MAX = 50
FORM_TOKEN = "form_token"  # noqa: S105 -- the field's name

Form: TypeAlias = dict[str, str]


async def read_form(request: VisitorRequest) -> Form:
    """The fields by their names. Raises UnsupportedMediaType, Malformed, Invalid."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType("Send the form as application/x-www-form-urlencoded.")
    try:
        pairs = parse_qsl(
            (await request.body()).decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX
        )
    except ValueError as error:
        raise Malformed("The form cannot be read.") from error
    form = dict(pairs)
    if len(form) < len(pairs):
        raise Malformed("The form names a field twice.")
    for name, value in pairs:
        if "\0" in value:
            raise Invalid((name, "must not contain U+0000"))
    return form


async def read_own_form(request: SignedInRequest) -> Form:
    """The same, sent with the session that it was made for. Raises ForeignForm as well."""
    form = await read_form(request)
    require_form_token(request, form.get(FORM_TOKEN, ""))
    return form


def require_form_token(request: SignedInRequest, token: str) -> None:
    """Raises ForeignForm."""
    if not browsers_of(request).is_form_token(request.user.session_id, token):
        raise ForeignForm


ANY_FORM = {"form": Provide(read_form)}
OWN_FORM = {"form": Provide(read_own_form)}
