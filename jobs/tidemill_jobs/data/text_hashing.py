"""Hashes of many texts at once."""

import polars as pl
import polars_hash as plh

from tidemill_core.domain.split import normalize

_KEY_DIGITS = 16
_WHITESPACE = r"[\s\x1c-\x1f]+"
"""Whitespace of Python's `str.split`, including the separators, which cleaned texts do not have."""


def text_hashes(texts: pl.Series) -> pl.Series:
    """Return `content_hash` of each text; nulls stay."""
    forms = normalized(texts.str.replace_all(_WHITESPACE, " ").str.strip_chars(" "))
    return forms.to_frame("form").select(plh.col("form").chash.sha2_256()).to_series()


def text_key(text_hash: pl.Expr) -> pl.Expr:
    """Return the first 64 bits of a text's hash, as a number.

    The probability that two of n texts share a key by chance is n² / 2⁶⁵: one in two million at 4
    million texts.
    """
    return text_hash.str.slice(0, _KEY_DIGITS).str.to_integer(base=16, dtype=pl.UInt64)


def normalized(texts: pl.Series) -> pl.Series:
    """Return texts with collapsed whitespace as `domain.split.normalize` leaves them."""
    ascii_only = texts.str.len_bytes() == texts.str.len_chars()
    lowered = texts.str.to_lowercase()
    beyond = (~ascii_only).arg_true()
    if not len(beyond):
        return lowered
    changed = [normalize(text) for text in texts.gather(beyond)]
    return lowered.scatter(beyond, pl.Series(changed, dtype=pl.String))
