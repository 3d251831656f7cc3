"""What texts are known by, for many texts at once."""

import polars as pl
import polars_hash as plh

from tidemill_core.domain.split import normalize

_KEY_DIGITS = 16
_WHITESPACE = r"[\s\x1c-\x1f]+"
"""What Python's `str.split` takes for whitespace: the separators too, which no cleaned text has."""


def text_hashes(texts: pl.Series) -> pl.Series:
    """`content_hash` of each text; nulls stay."""
    forms = normalised(texts.str.replace_all(_WHITESPACE, " ").str.strip_chars(" "))
    return forms.to_frame("form").select(plh.col("form").chash.sha2_256()).to_series()


def text_key(text_hash: pl.Expr) -> pl.Expr:
    """The first 64 bits of a text's hash, as a number.

    Two of n texts share one by chance with a probability of n² / 2⁶⁵: one in two million at 4
    million texts.
    """
    return text_hash.str.slice(0, _KEY_DIGITS).str.to_integer(base=16, dtype=pl.UInt64)


def normalised(texts: pl.Series) -> pl.Series:
    """`tidemill_core.domain.split.normalize` of texts with collapsed whitespace."""
    ascii_only = texts.str.len_bytes() == texts.str.len_chars()
    lowered = texts.str.to_lowercase()
    beyond = (~ascii_only).arg_true()
    if not len(beyond):
        return lowered
    changed = [normalize(text) for text in texts.gather(beyond)]
    return lowered.scatter(beyond, pl.Series(changed, dtype=pl.String))
