"""What may be personal in a text, replaced by a placeholder.

A pattern finds what looks like it, quickly; a library that knows the numbers' own rules decides:
check digits of cards and IBANs, and which digits are a telephone number anywhere.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import phonenumbers
import polars as pl
from stdnum import iban, luhn


@dataclass(frozen=True)
class Pattern:
    """One kind of personal data.

    Attributes:
        looks_like: a regular expression, for Python's and for Rust's engine alike. How far it may
            look from one place is bounded, or Python's takes a time that grows with the square of
            the text's length.
        placeholder: what is written in its place.
        is_one: whether what was found really is one.
    """

    looks_like: str
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
        r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+",
        "[EMAIL]",
        lambda _: True,
    ),
    "iban": Pattern(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}\b", "[IBAN]", iban.is_valid),
    "card": Pattern(r"\b[0-9](?:[ -]?[0-9]){12,18}\b", "[CARD]", _is_card),
    "phone": Pattern(r"\+[0-9](?:[ ()./-]{0,2}[0-9]){6,14}\b", "[PHONE]", _is_phone),
}
"""What can be redacted, by the name that a setting gives it. Telephone numbers are found in their
international form: +44 20 7946 0958."""


def redact(texts: pl.Series, kind: str) -> pl.Series:
    """Texts with all that is of one kind replaced by its placeholder.

    Args:
        texts: strings; nulls stay.
        kind: one of `PATTERNS`.
    """
    pattern = PATTERNS[kind]
    places = texts.str.contains(pattern.looks_like).fill_null(value=False).arg_true()
    if not len(places):
        return texts
    expression = re.compile(pattern.looks_like)

    def replaced(match: re.Match[str]) -> str:
        return pattern.placeholder if pattern.is_one(match[0]) else match[0]

    changed = [expression.sub(replaced, text) for text in texts.gather(places)]
    return texts.scatter(places, pl.Series(changed, dtype=pl.String))
