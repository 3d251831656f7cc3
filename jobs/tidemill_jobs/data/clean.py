"""Second stage: bring each row into one form, and set aside what no model should learn from."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace

from tidemill_core.domain.example import Example, QuarantinedRow
from tidemill_core.text import is_blank
from tidemill_jobs.data.rows import set_aside

# C0, DEL and C1, without tab, line feed and carriage return, which are whitespace in a text.
_CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


def compose(value: str) -> str:
    """Unicode NFC, so that one way of writing an accent is left."""
    return unicodedata.normalize("NFC", value)


def collapse_whitespace(value: str) -> str:
    """No space around it, and single spaces for whitespace within, line ends included."""
    return " ".join(value.split())


STEPS: tuple[Callable[[str], str], ...] = (compose, collapse_whitespace)
"""What is done to texts and labels, in order."""

RULES: Mapping[str, Callable[[Example], bool]] = {
    "NULL_TEXT": lambda row: row.text == "",
    "NULL_LABEL": lambda row: row.label.strip() == "",
    "LONE_SURROGATE": lambda row: bool(_LONE_SURROGATES.search(row.text + row.label)),
    "CONTROL_CHARACTERS": lambda row: bool(_CONTROL_CHARACTERS.search(row.text + row.label)),
    "BLANK_TEXT": lambda row: is_blank(row.text),
}
"""The rules, in the order they are tried; each says whether a row breaks it."""


def clean(row: Example, max_text_length: int) -> Example | QuarantinedRow:
    """The row, cleaned; or set aside, with the first rule that it breaks.

    Args:
        row: a row as it was found.
        max_text_length: longest cleaned text, in characters; TEXT_TOO_LONG above.
    """
    for rule, is_broken in RULES.items():
        if is_broken(row):
            return set_aside(row.origin, rule, row.text or row.label)
    text, label = row.text, row.label
    for step in STEPS:
        text, label = step(text), step(label)
    if len(text) > max_text_length:
        return set_aside(row.origin, "TEXT_TOO_LONG", text)
    return replace(row, text=text, label=label)
