"""Second stage: bring each row into one form, and find what no model should learn from.

`STEPS` is what is done to texts and labels, in order, and `schema` is what they must fulfil then.
"""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import ftfy
import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from tidemill_core.domain.example import MAX_VALUE_LENGTH
from tidemill_core.text import is_blank
from tidemill_jobs.data.preparing.redact import redact
from tidemill_jobs.data.text_hashing import collapse_whitespace

# C0, DEL and C1, without tab, line feed and carriage return, which are whitespace in a text.
_CONTROL_CHARACTERS = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\u009f]"


_BEGINNING = 4000
"""So much of a text is looked at for what to show of it, in characters."""


@dataclass(frozen=True)
class CleaningStep:
    """One thing that is done to a text.

    Attributes:
        name: what it is called in a manifest.
        apply: does it to a series of texts; nulls stay.
    """

    name: str
    apply: Callable[[pl.Series], pl.Series]


@dataclass(frozen=True)
class Cleaning:
    """How a task's rows are cleaned.

    Attributes:
        max_text_length: longest cleaned text, in characters.
        min_text_length: shortest cleaned text, in characters.
        redact: what is replaced by a placeholder: names of `redact.PATTERNS`.
    """

    max_text_length: int
    min_text_length: int = 1
    redact: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Return how rows are cleaned by a task's settings, or by those that a manifest keeps.

        Raises:
            KeyError: a setting is missing.
        """
        longest, shortest = settings["max_text_length"], settings["min_text_length"]
        return cls(longest, shortest, tuple(settings["redact"]))

    @property
    def steps(self) -> tuple[CleaningStep, ...]:
        """What is done to a text, in order."""
        redaction = (CleaningStep(f"redact_{kind}", _redaction(kind)) for kind in self.redact)
        return (*STEPS, *redaction)

    @property
    def hopeless_length(self) -> int:
        """With more characters, spaces included, a text is too long and no step looks at it."""
        return 4 * self.max_text_length + 1000


def _redaction(kind: str) -> Callable[[pl.Series], pl.Series]:
    return lambda texts: redact(texts, kind)


def repair_encoding(texts: pl.Series) -> pl.Series:
    """What was decoded by a wrong encoding, mended: `cafÃ©` is `café`."""
    return _to_those_with_more_than_ascii(texts, ftfy.fix_encoding)


def compose(texts: pl.Series) -> pl.Series:
    """Unicode NFC, so that one way of writing an accent is left."""
    return _to_those_with_more_than_ascii(texts, lambda text: unicodedata.normalize("NFC", text))


STEPS: tuple[CleaningStep, ...] = (
    CleaningStep("repair_encoding", repair_encoding),
    CleaningStep("compose", compose),
    CleaningStep("collapse_whitespace", collapse_whitespace),
)
"""What is done to each text and each label."""


def schema(cleaning: Cleaning) -> pa.DataFrameSchema:
    """What cleaned rows must fulfil; each check bears the name of its rule, in order of trial."""
    length = pl.col("text").str.len_chars()
    checks = [
        _check("NULL_TEXT", pl.col("text").is_not_null() | pl.col("is_hopeless")),
        _check("NULL_LABEL", (pl.col("label") != "") | pl.col("label_source").is_null()),
        _check("CONTROL_CHARACTERS", ~pl.col("text").str.contains(_CONTROL_CHARACTERS)),
        _check("CONTROL_CHARACTERS", ~pl.col("label").str.contains(_CONTROL_CHARACTERS)),
        _check("BLANK_TEXT", ~pl.col("is_blank")),
        _check("TEXT_TOO_LONG", ~pl.col("is_hopeless") & (length <= cleaning.max_text_length)),
        _check("TEXT_TOO_SHORT", length >= cleaning.min_text_length),
    ]
    columns = {name: pa.Column(pl.String, nullable=True) for name in ("text", "label")}
    return pa.DataFrameSchema(columns, checks=checks)


def clean(rows: pl.DataFrame, cleaning: Cleaning) -> pl.DataFrame:
    """Rows with their texts and labels cleaned; those that break a rule get it, and its value.

    Args:
        rows: a segment's rows. Those that have a rule already stay as they are.
        cleaning: how.

    Returns:
        As many rows, in their order. Text and label are null where there is a rule; its value is
        redacted as texts are.
    """
    raw, label = rows["text"].replace("", None), rows["label"]
    hopeless = (raw.str.len_chars() > cleaning.hopeless_length).fill_null(value=False)
    text = raw.clone().scatter(hopeless.arg_true(), None)
    for step in cleaning.steps:
        text = step.apply(text)
    for step in STEPS:
        label = step.apply(label)
    blank = _to_those_with_more_than_ascii(text, lambda value: "" if is_blank(value) else value)
    cleaned = rows.with_columns(
        text=text,
        label=label.fill_null(""),
        is_blank=(blank == ""),
        is_hopeless=hopeless,
        value=_redacted(rows["value"], cleaning),
        shown=_shown(raw, text, cleaning),
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
    """What may be shown of texts that break a rule: redacted; of long ones the beginning."""
    unseen = (text.is_null() | (text == "")).arg_true()
    beginnings = _redacted(raw.gather(unseen).str.slice(0, _BEGINNING), cleaning)
    return text.clone().scatter(unseen, beginnings)


def _redacted(texts: pl.Series, cleaning: Cleaning) -> pl.Series:
    for kind in cleaning.redact:
        texts = redact(texts, kind)
    return texts


def _check(rule: str, holds: pl.Expr) -> pa.Check:
    return pa.Check(lambda data: data.lazyframe.select(holds.fill_null(value=True)), name=rule)


def _broken(cleaned: pl.DataFrame, cleaning: Cleaning) -> pl.DataFrame:
    """`index` and `broken`, the first rule that it breaks, of the rows that break one."""
    try:
        schema(cleaning).validate(cleaned, lazy=True)
    except SchemaErrors as errors:
        found: pl.DataFrame = errors.failure_cases
        cases = found.sort("check_number", maintain_order=True)
        return cases.unique("index", keep="first").select("index", broken="check")
    return pl.DataFrame(schema={"index": pl.Int32, "broken": pl.String})


def _to_those_with_more_than_ascii(texts: pl.Series, change: Callable[[str], str]) -> pl.Series:
    """Python's work on the few texts that need it; what is ASCII only is passed on."""
    beyond = texts.str.len_bytes() != texts.str.len_chars()
    if not beyond.any():
        return texts
    places = beyond.arg_true()
    changed = [change(text) for text in texts.gather(places)]
    return texts.scatter(places, pl.Series(changed, dtype=pl.String))
