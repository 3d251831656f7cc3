"""Cleaning of rows, and the rules for rows that no model should learn from.

Texts and labels are repaired and texts redacted as in serving. Then they must fulfill `schema`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from tidemill_core.domain.example import MAX_VALUE_LENGTH
from tidemill_core.redaction import PATTERNS, redact
from tidemill_core.text import (
    CONTROL_CHARACTERS,
    HAS_CONTROLS,
    IS_BLANK,
    IS_TOO_LONG,
    is_blank,
)
from tidemill_core.text_repair import longest_raw_length, repair

_BEGINNING = 4000
"""Characters of a long text that are searched for a value to show."""


@dataclass(frozen=True)
class Cleaning:
    """How a task's rows are cleaned.

    Attributes:
        max_text_length: longest cleaned text, in characters.
        min_text_length: shortest cleaned text, in characters.
        redact: names of the `redaction.PATTERNS` to replace by a placeholder.
    """

    max_text_length: int
    min_text_length: int = 1
    redact: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Return the cleaning for settings by name, of a task or of a manifest.

        Raises:
            KeyError: a setting is missing.
        """
        longest, shortest = settings["max_text_length"], settings["min_text_length"]
        return cls(longest, shortest, tuple(settings["redact"]))


def repaired(texts: pl.Series) -> pl.Series:
    """Return texts or labels, each as `text_repair.repair` leaves it; nulls stay."""
    # In ASCII, `repair` changes only whitespace.
    texts = _changed(texts, _beyond_ascii(texts), repair)
    return texts.str.replace_all(r"\s+", " ").str.strip_chars(" ")


def _redacted(texts: pl.Series, kinds: Sequence[str]) -> pl.Series:
    """Return texts, each as `redaction.redact` leaves it; nulls stay."""
    for kind in kinds:
        # The engines disagree about word boundaries next to accents and joiners; Python decides.
        found = texts.str.contains(PATTERNS[kind].looks_like.pattern.replace(r"\b", ""))
        texts = _changed(texts, found.fill_null(value=False), partial(redact, kind=kind))
    return texts


def _beyond_ascii(texts: pl.Series) -> pl.Series:
    """Return for each text whether it is more than ASCII, so that Python must process it."""
    return texts.str.len_bytes() != texts.str.len_chars()


def _changed(texts: pl.Series, which: pl.Series, change: Callable[[str], str]) -> pl.Series:
    """Return the texts, some of them changed one by one; the others cost almost nothing."""
    places = which.arg_true()
    if not len(places):
        return texts
    changed = pl.Series([change(text) for text in texts.gather(places)], dtype=pl.String)
    return texts.clone().scatter(places, changed)


def schema(cleaning: Cleaning) -> pa.DataFrameSchema:
    """Return the schema of cleaned rows; each check has the name of its rule, in order."""
    length = pl.col("text").str.len_chars()
    controls = pl.col("text", "label").str.contains(CONTROL_CHARACTERS)
    checks = [
        _check("NULL_TEXT", pl.col("text").is_not_null() | pl.col("is_hopeless")),
        _check("NULL_LABEL", (pl.col("label") != "") | pl.col("label_source").is_null()),
        _check(HAS_CONTROLS, ~pl.any_horizontal(controls)),
        _check(IS_BLANK, ~pl.col("is_blank")),
        _check(IS_TOO_LONG, ~pl.col("is_hopeless") & (length <= cleaning.max_text_length)),
        _check("TEXT_TOO_SHORT", length >= cleaning.min_text_length),
    ]
    columns = {name: pa.Column(pl.String, nullable=True) for name in ("text", "label")}
    return pa.DataFrameSchema(columns, checks=checks)


def clean(rows: pl.DataFrame, cleaning: Cleaning) -> pl.DataFrame:
    """Return a segment's rows, in order, with cleaned texts and labels.

    A row that breaks a rule gets the rule and the offending value, which is redacted like a text. A
    row that already has a rule keeps it. Rows with a rule have no text and label.
    """
    raw = rows["text"].replace("", None)
    longest = longest_raw_length(cleaning.max_text_length)
    hopeless = (raw.str.len_chars() > longest).fill_null(value=False)
    text = _redacted(repaired(raw.clone().scatter(hopeless.arg_true(), None)), cleaning.redact)
    visible = _changed(text, _beyond_ascii(text), lambda value: "" if is_blank(value) else value)
    cleaned = rows.with_columns(
        text=text,
        label=repaired(rows["label"]).fill_null(""),
        is_blank=(visible == ""),
        is_hopeless=hopeless,
        value=_redacted(rows["value"], cleaning.redact),
        shown=_shown(raw, visible, cleaning),
        index=pl.int_range(len(rows), dtype=pl.Int32),
    )
    broken = _broken(cleaned, cleaning)
    found = cleaned.join(broken, on="index", how="left", maintain_order="left")
    read = pl.col("rule").is_null()
    found = found.with_columns(
        rule=pl.coalesce("rule", "broken"),
        value=pl.when(read & pl.col("broken").is_not_null())
        .then(pl.coalesce("shown", rows["label"], pl.lit("")))
        .otherwise("value")
        .str.slice(0, MAX_VALUE_LENGTH),
    )
    fit = pl.col("rule").is_null()
    found = found.with_columns(
        text=pl.when(fit).then("text"),
        label=pl.when(fit & pl.col("label_source").is_not_null()).then("label"),
    )
    return found.select(rows.columns)


def _shown(raw: pl.Series, text: pl.Series, cleaning: Cleaning) -> pl.Series:
    """Return values to show for texts that break a rule: redacted, and cut if long."""
    unseen = (text.is_null() | (text == "")).arg_true()
    beginnings = _redacted(raw.gather(unseen).str.slice(0, _BEGINNING), cleaning.redact)
    return text.clone().scatter(unseen, beginnings)


def _check(rule: str, holds: pl.Expr) -> pa.Check:
    return pa.Check(lambda data: data.lazyframe.select(holds.fill_null(value=True)), name=rule)


def _broken(cleaned: pl.DataFrame, cleaning: Cleaning) -> pl.DataFrame:
    """Return `index` and `broken`, the first broken rule, of the rows that break one."""
    try:
        schema(cleaning).validate(cleaned, lazy=True)
    except SchemaErrors as errors:
        found: pl.DataFrame = errors.failure_cases
        cases = found.sort("check_number", maintain_order=True)
        return cases.unique("index", keep="first").select("index", broken="check")
    return pl.DataFrame(schema={"index": pl.Int32, "broken": pl.String})
