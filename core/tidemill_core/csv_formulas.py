"""Cells of a CSV that spreadsheets run as formulas."""

import re

_UNSEEN = r"'\s\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
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
