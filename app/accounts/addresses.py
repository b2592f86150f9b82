"""Is this an email address, and which account does it mean?"""

from __future__ import annotations

import email_validator
import msgspec

from app.errors import Invalid

# People host this on .local and .lan, and nothing is ever sent to an address: the list of names that only work at home is not
# for us. Emptying it is the library's documented way.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


class Address(msgspec.Struct, frozen=True):
    """An address as it was meant, and the key under which it is unique."""

    email: str
    key: str


def parse_address(text: str) -> Address:
    """Without DNS. Raises Invalid with the reason."""
    try:
        email = email_validator.validate_email(text, check_deliverability=False, globally_deliverable=False).normalized
    except email_validator.EmailNotValidError as error:
        raise Invalid(("email", str(error))) from None
    return Address(email, email.casefold())
