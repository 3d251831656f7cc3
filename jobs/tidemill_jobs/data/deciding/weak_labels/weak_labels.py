"""Labels for texts without one, from the workspace's labeling functions."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import polars_hash as plh

from tidemill_core.counted import counted
from tidemill_core.domain.example import LabelSource
from tidemill_core.domain.label_names import Renames, current
from tidemill_core.errors import DataError
from tidemill_core.text import is_blank
from tidemill_core.text_repair import repair
from tidemill_jobs.context import Progress
from tidemill_jobs.data.deciding.weak_labels.functions_file import (
    FunctionsFile,
    load_functions_file,
)
from tidemill_jobs.data.deciding.weak_labels.label_model import (
    ABSTAINS,
    Votes,
    combine,
    require_snorkel,
)
from tidemill_jobs.data.deciding.weak_labels.time_limit import TookTooLong, time_limit
from tidemill_jobs.labeling_functions import LabelingFunction

MAX_LABELS = 1_000
MAX_GOLD_TEXTS = 5_000
TEXT_SECONDS = 60.0
"""The time that a function may take for one text."""
_TEXTS_AT_ONCE = 20_000
_GUESSES = [str(LabelSource.WEAK), str(LabelSource.MODEL)]


class _BadAnswer(Exception):
    """A function returned something that is not a label."""


class WeakLabels:
    """The labels of one build's texts from the functions of one file.

    A function fails if it takes over `text_seconds` for a text.
    """

    def __init__(
        self,
        file: FunctionsFile,
        renames: Renames,
        progress: Progress,
        text_seconds: float = TEXT_SECONDS,
    ) -> None:
        """Raise ConfigurationError if Snorkel is not installed."""
        require_snorkel()
        self._file = file
        self._renames = renames
        self._progress = progress
        self._text_seconds = text_seconds
        self._numbers: dict[str, int] = {}  # by the label as returned, and by the cleaned label
        self._labels: list[str] = []
        self._votes: Votes = np.empty((0, len(file.functions)), np.int16)

    @property
    def source(self) -> Mapping[str, str]:
        """The functions' `file` and its `sha256`."""
        return {"file": self._file.path.name, "sha256": self._file.sha256}

    def label_texts(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Return the most probable label of each text by its votes; see `combine`.

        The labels do not depend on the order of the texts, or on repeated texts.

        Args:
            texts: `text`, and `origin`, its place.

        Returns:
            `label` (null if unknown) and `weight` (the label's probability, rounded to
            thousandths), in the texts' order.

        Raises:
            DataError: LABELING_FUNCTION_FAILED.
            RunCanceled: someone stopped the run.
        """
        hashed = plh.col("text").nchash.xxh3_64()  # a random but reproducible order
        once = texts.sort("text", "origin").unique("text", keep="first").sort(hashed, "text")
        self._votes = self._vote(once)
        self._progress(0.6, f"weighing {counted(self._votes.shape[1], 'labeling function')}")
        best, probability = combine(self._votes, len(self._labels))
        labels = np.array([*self._labels, None], dtype=object)  # ABSTAINS, -1, is the last
        found = once.select(
            "text",
            label=pl.Series(labels[best].tolist(), dtype=pl.String),
            weight=pl.Series(probability.round(3)),
        )
        rows = texts.join(found, on="text", how="left", maintain_order="left")
        return rows.select("label", "weight")

    def report(self, examples: pl.DataFrame) -> list[dict[str, Any]]:
        """Return each function's labels, shares and accuracy.

        Args:
            examples: `text`, `origin`, `label` and `label_source`. The accuracy is measured on the
                first MAX_GOLD_TEXTS that neither functions nor models labeled.

        Returns:
            For each function its name as `function`, its `line`, and the `labels` that it gave. Of
            the `texts` without a label: its `coverage`, the share that it labeled; `overlap`, the
            share that it and another labeled; `conflict`, the share that another labeled
            differently. `gold_texts`: how many texts with a known label it labeled, and its
            `accuracy` on them, null without such texts.

        Raises:
            DataError: LABELING_FUNCTION_FAILED.
            RunCanceled: someone stopped the run.
        """
        gold = examples.filter(~pl.col("label_source").is_in(_GUESSES))
        gold = gold.head(MAX_GOLD_TEXTS)
        votes = self._vote(gold)
        numbers = [self._numbers.get(label, len(self._labels)) for label in gold["label"]]
        measured = zip(
            self._file.functions,
            self._votes.T,
            _shares_of_texts(self._votes),
            _accuracies(votes, np.array(numbers)),
            strict=True,
        )
        return [
            {
                "function": function.name,
                "line": function.line,
                "labels": sorted(self._labels[n] for n in np.unique(given[given != ABSTAINS])),
                "texts": len(given),
                **shares,
                **accuracy,
            }
            for function, given, shares, accuracy in measured
        ]

    def _vote(self, texts: pl.DataFrame) -> Votes:
        """Return each function's vote on each `text`: [texts, functions]."""
        votes = np.empty((len(texts), len(self._file.functions)), np.int16)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            self._progress(
                0.6, f"labeling functions: done with {start:,} of {counted(len(texts), 'text')}"
            )
            part = texts.select("text", "origin").slice(start, _TEXTS_AT_ONCE).rows()
            for column, function in enumerate(self._file.functions):
                given = self._answers(function, part)
                votes[start : start + len(part), column] = np.fromiter(given, np.int16, len(part))
        return votes

    def _answers(self, function: LabelingFunction, texts: list[tuple[str, str]]) -> Iterator[int]:
        with time_limit(self._text_seconds) as start_again:
            for text, origin in texts:
                start_again()
                try:
                    yield self._number(function(text))
                except (Exception, SystemExit, TookTooLong) as error:
                    raise self._failed(function, origin, error) from None

    def _failed(self, function: LabelingFunction, origin: str, error: BaseException) -> DataError:
        # The function's own message may contain the text, which no log should.
        ours = isinstance(error, _BadAnswer | TookTooLong)
        detail = str(error) if ours else type(error).__name__
        place = self._file.place_of(error, function.line)
        return DataError(
            "LABELING_FUNCTION_FAILED",
            f"{place}: the labeling function {function.name!r} fails on the text of "
            f"{origin}: {detail}; fix it, or let it return None for such texts",
        )

    def _number(self, given: object) -> int:
        """Return the number of a label that a function returned."""
        if given is None:
            return ABSTAINS
        if not isinstance(given, str):
            kind = type(given).__name__
            raise _BadAnswer(f"it returned {kind}, not a string or None")
        known = self._numbers.get(given)
        return self._new_number(given) if known is None else known

    def _new_number(self, given: str) -> int:
        """Return the number of a new label; labels that are equal once cleaned share a number."""
        if not given.isprintable() or is_blank(given):
            raise _BadAnswer("it returned a label that is blank or has control characters")
        label = current(repair(str.__str__(given)), self._renames)
        number = self._numbers.setdefault(label, len(self._labels))
        if number == MAX_LABELS:
            raise _BadAnswer(f"it returned more than {MAX_LABELS} labels; return labels, not texts")
        if number == len(self._labels):
            self._labels.append(label)
        self._numbers[given] = number
        return number


def open_weak_labels(path: Path | None, renames: Renames, progress: Progress) -> WeakLabels | None:
    """Return the weak labels from a file of functions; None without a file.

    Raises:
        DataError: LABELING_FILE_UNUSABLE.
        ConfigurationError: Snorkel is not installed.
    """
    return None if path is None else WeakLabels(load_functions_file(path), renames, progress)


def _shares_of_texts(votes: Votes) -> list[Mapping[str, float | None]]:
    """Return each function's shares of the texts, as Snorkel's LFAnalysis defines them."""
    names = ("coverage", "overlap", "conflict")
    if not len(votes):
        return [dict.fromkeys(names)] * votes.shape[1]
    voted = votes != ABSTAINS
    overlapped = voted.sum(axis=1) > 1
    lowest = np.where(voted, votes, MAX_LABELS).min(axis=1)
    conflicted = overlapped & (lowest != votes.max(axis=1))
    found = [voted, voted & overlapped[:, None], voted & conflicted[:, None]]
    shares = np.column_stack([each.mean(axis=0) for each in found]).round(4).tolist()
    return [dict(zip(names, row, strict=True)) for row in shares]


def _accuracies(votes: Votes, truth: npt.NDArray[np.int64]) -> list[Mapping[str, float | None]]:
    """Return each function's number of votes, and the share that agrees with `truth` [texts]."""
    found: list[Mapping[str, float | None]] = []
    for given in votes.T:
        right = (given == truth)[given != ABSTAINS]
        accuracy = round(float(right.mean()), 4) if len(right) else None
        found.append({"gold_texts": len(right), "accuracy": accuracy})
    return found
