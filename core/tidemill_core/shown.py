"""What others wrote, safe for a terminal or a page."""

import re

UNSAFE = re.compile(
    "[\0-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
"""Controls, line and paragraph separators, lone surrogates, and characters that are invisible or
change the direction of the text. The two joiners are part of ordinary words and emoji."""


def shown(text: str) -> str:
    """Return a text whose control and bidi characters are escapes."""
    return UNSAFE.sub(lambda match: ascii(match[0])[1:-1], text)


def shown_lines(text: str) -> str:
    """Return a text as `shown` does, but keep its lines."""
    return "\n".join(map(shown, text.split("\n")))
