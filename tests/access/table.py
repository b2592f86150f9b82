"""Which routes are there, who may go through each of them, and how is whoever may answered?

A route that is missing here fails, and so does one that answers otherwise. Where a path names an object, its owner may.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tests.cast import PASSWORD

# person: a live access token as Bearer. program: a live API token as Bearer. browser: a live session's cookie, and for
# forms a page of ours. anybody: whatever is sent along changes nothing. nobody_yet: the same, until somebody is signed in.
Door = Literal["person", "program", "browser", "anybody", "nobody_yet"]


class Row(msgspec.Struct, frozen=True):
    """`status`: of the answer to whoever may. `body`: JSON under /api, a form elsewhere; it does something, if it is let in."""

    door: Door
    status: int
    body: dict[str, Any] | None = None


EXPORT = {"generation_id": "g-1", "created_at": "2026-11-01 10:00:00.000", "cost_total": "1", "model_permaslug": "m/m"}
FORM_ID = "11111111-1111-4111-8111-111111111111"
NEW_PASSWORD = "another horse battery staple"

# in this order whoever may goes through: what ends something comes last
ROUTES: dict[tuple[str, str], Row] = {
    ("GET", "/api/auth/me"): Row("person", 200),
    ("GET", "/api/auth/sessions"): Row("person", 200),
    ("GET", "/api/events"): Row("person", 200),
    ("GET", "/api/hygiene"): Row("person", 200),
    ("GET", "/api/stats"): Row("person", 200),
    ("GET", "/api/usage"): Row("person", 200),
    ("GET", "/api/keys"): Row("person", 200),
    ("GET", "/api/keys/{key_id}"): Row("person", 200),
    ("GET", "/api/tokens"): Row("person", 200),
    ("GET", "/api/tokens/{token_id}"): Row("person", 200),
    ("GET", "/api/v1/keys"): Row("program", 200),
    ("GET", "/api/v1/metrics"): Row("program", 200),
    ("GET", "/api/v1/stats"): Row("program", 200),
    ("GET", "/api/v1/token"): Row("program", 200),
    ("GET", "/api/v1/usage"): Row("program", 200),
    ("GET", "/"): Row("browser", 200),
    ("GET", "/usage"): Row("browser", 200),
    ("GET", "/usage/file"): Row("browser", 200),
    ("GET", "/keys"): Row("browser", 200),
    ("GET", "/keys/{key_id}"): Row("browser", 200),
    ("GET", "/keys/{key_id}/delete"): Row("browser", 200),
    ("GET", "/tokens"): Row("browser", 200),
    ("GET", "/tokens/{token_id}/revoke"): Row("browser", 200),
    ("GET", "/import"): Row("browser", 200),
    ("GET", "/account"): Row("browser", 200),
    ("GET", "/account/delete"): Row("browser", 200),
    ("POST", "/api/imports/activity"): Row("person", 200, EXPORT),
    ("POST", "/import"): Row("browser", 200, EXPORT),
    ("POST", "/api/keys"): Row("person", 201, {"name": "second", "key": "second"}),
    ("PATCH", "/api/keys/{key_id}"): Row("person", 200, {"name": "renamed"}),
    ("POST", "/api/keys/{key_id}/sync"): Row("person", 200),
    ("POST", "/keys"): Row("browser", 303, {"name": "third", "key": "third"}),
    ("POST", "/keys/{key_id}/rename"): Row("browser", 303, {"name": "renamed again"}),
    ("POST", "/keys/{key_id}/replace"): Row("browser", 303, {"key": "replacing"}),
    ("POST", "/keys/{key_id}/pause"): Row("browser", 303, {}),
    ("POST", "/keys/{key_id}/resume"): Row("browser", 303, {}),
    ("POST", "/keys/{key_id}/sync"): Row("browser", 303, {}),
    ("POST", "/api/tokens"): Row("person", 201, {"name": "second"}),
    ("POST", "/tokens"): Row("browser", 200, {"name": "third", "expires_in_days": "", "form_id": FORM_ID}),
    ("POST", "/tokens/{token_id}/revoke"): Row("browser", 303, {}),
    ("DELETE", "/api/tokens/{token_id}"): Row("person", 204),
    ("POST", "/keys/{key_id}/delete"): Row("browser", 303, {"history": "keep"}),
    ("DELETE", "/api/keys/{key_id}"): Row("person", 204),
    ("POST", "/account/sessions/{session_id}/end"): Row("browser", 303, {}),
    ("DELETE", "/api/auth/sessions/{session_id}"): Row("person", 204),
    ("POST", "/account/password"): Row("browser", 303, {"current_password": PASSWORD, "new_password": NEW_PASSWORD}),
    ("POST", "/account/sessions/end-others"): Row("browser", 303, {}),
    ("POST", "/sign-out"): Row("browser", 303, {}),
    ("POST", "/api/auth/password"): Row("person", 204, {"current_password": NEW_PASSWORD, "new_password": PASSWORD}),
    ("DELETE", "/api/auth/sessions"): Row("person", 204),
    ("POST", "/api/auth/logout"): Row("person", 204),
    ("DELETE", "/api/auth/me"): Row("person", 204, {"password": PASSWORD}),
    ("POST", "/account/delete"): Row("browser", 303, {"password": PASSWORD}),
    ("GET", "/livez"): Row("anybody", 200),
    ("GET", "/readyz"): Row("anybody", 200),
    ("GET", "/metrics"): Row("anybody", 200),  # on this machine; see tests/metrics
    ("GET", "/schema"): Row("anybody", 200),
    ("GET", "/schema/openapi.json"): Row("anybody", 200),
    ("GET", "/schema/{path}"): Row("anybody", 404),
    ("GET", "/reference"): Row("anybody", 200),
    ("GET", "/static/{name}"): Row("anybody", 404),
    ("GET", "/sign-in"): Row("nobody_yet", 200),
    ("GET", "/sign-up"): Row("anybody", 200),
    # with nothing in them, so that they can be asked again and again
    ("POST", "/api/auth/register"): Row("anybody", 422, {}),
    ("POST", "/api/auth/login"): Row("anybody", 422, {}),
    ("POST", "/api/auth/refresh"): Row("anybody", 422, {}),
    ("POST", "/sign-in"): Row("anybody", 401, {}),
    ("POST", "/sign-up"): Row("anybody", 422, {}),
}
