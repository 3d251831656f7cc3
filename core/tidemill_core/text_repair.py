"""The repair of texts before a model sees them: one function for training and for serving.

Builds repair and redact every training text, so the front must do the same to every text that it
classifies. A model's manifest names the rules that its training texts followed.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import ftfy

from tidemill_core.redaction import PATTERNS, redact

REPAIR_VERSION = 2
"""The version of the rules of `repair`. Increase it when the result for a text changes, and keep
the earlier rules in `_RULES` for the models that were trained with them."""

# Unicode's White_Space. Python's `\s` also has the separators U+001C to U+001F, which are control
# characters here.
_WHITESPACE = re.compile(r"[^\S\x1c-\x1f]+")


@dataclass(frozen=True)
class TextRepair:
    """The rules that bring texts into one form.

    Attributes:
        version: the version of the rules; see `REPAIR_VERSION`.
        redact: kinds of personal data that a placeholder replaces: names of
            `redaction.PATTERNS`.

    Raises:
        ValueError: the version or a kind is unknown.
    """

    version: int = REPAIR_VERSION
    redact: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.version not in _RULES:
            raise ValueError(
                f"text repair version {self.version} is unknown; this Tidemill knows "
                f"1 to {REPAIR_VERSION}: install the release that trained the model, or a newer one"
            )
        if unknown := set(self.redact) - PATTERNS.keys():
            raise ValueError(f"{sorted(unknown)} cannot be redacted; known: {sorted(PATTERNS)}")

    def __call__(self, text: str) -> str:
        """Repair and redact a text."""
        text = _RULES[self.version](text)
        for kind in self.redact:
            text = redact(text, kind)
        return text


def repair(text: str) -> str:
    """Fix the encoding, accents and whitespace of a text.

    A text that was decoded with a wrong encoding is decoded again: `cafÃ©` becomes `café`, and
    U+0097 an em dash. Accents get their composed form (Unicode NFC). Whitespace, including line
    ends, becomes one space between words and is removed around the text.

    The result stays as it is when it is repaired again: whitespace and accents can hide a wrong
    encoding, so the steps are repeated until none changes the text.
    """
    while (better := _repaired_once(text)) != text:
        text = better
    return text


def _repaired_once(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFC", ftfy.fix_encoding(text))
    elif text.isprintable():
        return " ".join(text.split())
    return _WHITESPACE.sub(" ", text).strip(" ")


_RULES: Mapping[int, Callable[[str], str]] = {1: _repaired_once, 2: repair}
"""The repair by its version."""


def longest_raw_length(max_text_length: int) -> int:
    """Return how many characters a text may have before its repair, which may shorten it."""
    return 4 * max_text_length + 1000
