"""The replacement of personal data in texts by placeholders.

A regular expression finds candidates quickly. A library that knows the rules decides: check digits
of cards and IBANs, and number plans of telephone networks.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import phonenumbers
from stdnum import iban, luhn


@dataclass(frozen=True)
class Pattern:
    """One kind of personal data.

    Attributes:
        looks_like: a regular expression for both Python's and Rust's engine. The length of a match
            is bounded; otherwise Python's time grows with the square of the text's length.
        placeholder: the replacement.
        is_one: returns whether a candidate is personal data of this kind.
    """

    looks_like: re.Pattern[str]
    placeholder: str
    is_one: Callable[[str], bool]


def _is_card(found: str) -> bool:
    digits = re.sub(r"\D", "", found)
    return 13 <= len(digits) <= 19 and luhn.is_valid(digits)


def _is_phone(found: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(found))
    except phonenumbers.NumberParseException:
        return False


PATTERNS: Mapping[str, Pattern] = {
    "email": Pattern(
        re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+"),
        "[EMAIL]",
        lambda _: True,
    ),
    "iban": Pattern(
        re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}\b"), "[IBAN]", iban.is_valid
    ),
    "card": Pattern(re.compile(r"\b[0-9](?:[ -]?[0-9]){12,18}\b"), "[CARD]", _is_card),
    "phone": Pattern(re.compile(r"\+[0-9](?:[ ()./-]{0,2}[0-9]){6,14}\b"), "[PHONE]", _is_phone),
}
"""The kinds of personal data, by their names in settings. Telephone numbers are found in their
international form: +44 20 7946 0958."""


def redact(text: str, kind: str) -> str:
    """Return a text with all personal data of one kind replaced by a placeholder.

    Args:
        text: any string.
        kind: one of `PATTERNS`.
    """
    pattern = PATTERNS[kind]

    def replaced(match: re.Match[str]) -> str:
        return pattern.placeholder if pattern.is_one(match[0]) else match[0]

    return pattern.looks_like.sub(replaced, text)
