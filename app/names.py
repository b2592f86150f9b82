"""What may a token or a key be called?"""

from __future__ import annotations

import unicodedata

from app.errors import Invalid

MAX_LENGTH = 100  # code points
# control, surrogate, line and paragraph separators: they break lists and logs
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# embeddings, overrides and isolates make a name look like another one
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_name(text: str) -> str:
    """Trimmed. Raises Invalid, which names the field."""
    name = text.strip()
    if not 1 <= len(name) <= MAX_LENGTH:
        raise Invalid(("name", f"must have 1 to {MAX_LENGTH} characters, not counting space at its ends"))
    if any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in name):
        raise Invalid(("name", "must not contain control characters or line breaks"))
    if not _BIDIRECTIONAL.isdisjoint(name):
        raise Invalid(("name", "must not contain characters that change the direction of writing"))
    return name
