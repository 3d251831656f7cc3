"""Cells of a CSV that spreadsheets run as formulas."""

import re

# Apostrophes, whitespace, controls, all of Unicode's format characters (Cf), which Python's engine
# cannot name, and characters that no font draws: fillers, joiners, variation selectors and tags.
_UNSEEN = (
    r"'\s\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    r"\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    r"\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
FORMULA = (
    rf"^(?:[{_UNSEEN}]*[=+@\uff0b\uff0d\uff1d\uff20\ufe62\ufe63\ufe66\ufe6b\u2212-]|'*[\t\r\n])"
)
"""Cells that spreadsheets run as formulas, for the engines of Python and Rust: with full-width and
small signs too, and after spaces and invisible characters, which some spreadsheets remove.
Apostrophes may be first, so that the one of an export can be recognized."""

_FORMULA = re.compile(FORMULA)
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)*(e[+-]?[0-9]+)?", re.IGNORECASE)


def guarded(cell: str) -> str:
    """Return a cell with an apostrophe in front if a spreadsheet would run it; numbers stay."""
    if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell
