"""The form that a text has before a model sees it: one function for training and for serving.

Builds repair and redact every text that they learn from, so the front must do the same to every
text that it is asked about. A model's manifest names the rules that its training texts followed.
"""

import re
import unicodedata
from dataclasses import dataclass

import ftfy

from tidemill_core.redaction import PATTERNS, redact

REPAIR_VERSION = 1
"""The rules of `repair`. Increase it when a text would come out differently, and keep the earlier
rules in `TextRepair.__call__` for the models that were trained with them."""

# Unicode's White_Space. Python's `\s` also has the separators U+001C to U+001F, which are control
# characters here.
_WHITESPACE = re.compile(r"[^\S\x1c-\x1f]+")


@dataclass(frozen=True)
class TextRepair:
    """How texts are brought into one form.

    Attributes:
        version: the rules; see `REPAIR_VERSION`.
        redact: kinds of personal data that a placeholder replaces: names of
            `redaction.PATTERNS`.

    Raises:
        ValueError: the version or a kind is unknown.
    """

    version: int = REPAIR_VERSION
    redact: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.version != REPAIR_VERSION:
            raise ValueError(
                f"text repair version {self.version} is unknown; this Tidemill knows "
                f"{REPAIR_VERSION}: install the release that trained the model, or a newer one"
            )
        if unknown := set(self.redact) - PATTERNS.keys():
            raise ValueError(f"{sorted(unknown)} cannot be redacted; known: {sorted(PATTERNS)}")

    def __call__(self, text: str) -> str:
        """Return a text, repaired and redacted."""
        text = repair(text)
        for kind in self.redact:
            text = redact(text, kind)
        return text


def repair(text: str) -> str:
    """Return a text without the marks that its way here left in it.

    A text that was decoded with a wrong encoding is decoded again (`cafÃ©` becomes `café`, U+0097
    an em dash), accents have their composed form (Unicode NFC), and whitespace, line ends included,
    is one space between words and none around them.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", ftfy.fix_encoding(text))
    elif text.isprintable():
        return " ".join(text.split())
    return _WHITESPACE.sub(" ", text).strip(" ")


def longest_raw_length(max_text_length: int) -> int:
    """Return how many characters a text may have before its repair, which may shorten it."""
    return 4 * max_text_length + 1000
