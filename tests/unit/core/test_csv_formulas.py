"""Cells that spreadsheets run as formulas."""

import sys
import unicodedata

import polars as pl
import pytest

from tidemill_core.csv_formulas import FORMULA, guarded

INVISIBLE = [
    chr(point)
    for point in range(sys.maxunicode + 1)
    if unicodedata.category(chr(point)) in {"Zs", "Zl", "Zp", "Cc", "Cf"}
] + list("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u3164\ufe00\ufe0f\uffa0\U000e0100")
SIGNS = list("=+-@\uff0b\uff0d\uff1d\uff20\ufe62\ufe63\ufe66\ufe6b\u2212")


def exported(cells: list[str]) -> list[str]:
    """Return cells as `tidemill datasets export` writes them."""
    return pl.Series(cells).str.replace(FORMULA, "'${0}").to_list()


def test_no_invisible_character_hides_a_formula() -> None:
    """A formula is guarded behind each separator, control, format character and filler."""
    cells = [f"{character}=1+1" for character in INVISIBLE]
    wanted = [f"'{cell}" for cell in cells]
    assert list(map(guarded, cells)) == wanted
    assert exported(cells) == wanted


@pytest.mark.parametrize("sign", SIGNS)
def test_each_sign_begins_a_formula(sign: str) -> None:
    """Each sign of a formula is guarded, also in its small and full-width forms."""
    cells = [f"{sign}A1", f" '{sign}A1"]
    wanted = [f"'{cell}" for cell in cells]
    assert list(map(guarded, cells)) == wanted
    assert exported(cells) == wanted


def test_ordinary_cells_stay() -> None:
    """Words, accents, emoji and signs within a text are no formulas."""
    cells = ["lost my card", "école", "❤\ufe0f a=b", "3 - 2", "1+1", "", "نص"]
    assert list(map(guarded, cells)) == cells
    assert exported(cells) == cells
