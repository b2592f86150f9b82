"""What does an answer of OpenRouter consist of? Its errors have two shapes and many texts."""

from __future__ import annotations

from typing import Any

import msgspec

encode = msgspec.json.Encoder(decimal_format="number").encode


class Answer(msgspec.Struct):
    """Status, headers beside the usual ones, and the JSON value."""

    status: int
    value: Any
    headers: dict[str, str] = {}


class Refusal(Exception):
    """Ends a request with an error."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        """`message`: as OpenRouter words it."""
        super().__init__(message)
        self.answer = error(status, message, headers)


def error(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    """In the usual shape."""
    return Answer(status, {"error": {"message": message, "code": status}}, headers or {})


NO_CREDENTIAL = "No auth credentials found"
UNKNOWN_KEY = "User not found."
NOT_MANAGEMENT = "Only management keys can perform this operation"
NOT_MANAGEMENT_ACTIVITY = "Only management keys can fetch activity for an account"
NOT_MANAGEMENT_KEYS = "Invalid management key"
NOT_FOUND = "Not Found"
NO_RESOURCE = "Resource not found"
BAD_REQUEST = "Invalid request parameters"
BAD_DATE = "Date must be within the last 30 (completed) UTC days"
TOO_MANY = "Rate limit exceeded"
