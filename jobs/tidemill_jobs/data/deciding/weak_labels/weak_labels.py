"""Labels for texts that came without one, by the workspace's labelling functions."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import polars_hash as plh

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
from tidemill_jobs.labeling_functions import LabelingFunction

MAX_LABELS = 1_000
MAX_GOLD_TEXTS = 5_000
_TEXTS_AT_ONCE = 20_000


class _BadAnswer(Exception):
    """What a function returned is no label."""


class WeakLabels:
    """What the functions of one file say of one build's texts."""

    def __init__(self, file: FunctionsFile, renames: Renames, progress: Progress) -> None:
        """Begin without votes.

        Args:
            file: the functions.
            renames: new names of labels that they may give.
            progress: tells how far the run is.

        Raises:
            ConfigurationError: Snorkel is not installed.
        """
        require_snorkel()
        self._file = file
        self._renames = renames
        self._progress = progress
        self._numbers: dict[str, int] = {}  # of a label as functions write it, and of it cleaned
        self._labels: list[str] = []
        self._votes: Votes = np.empty((0, len(file.functions)), np.int16)

    @property
    def source(self) -> Mapping[str, str]:
        """The `file` that the functions come from, and its `sha256`."""
        return {"file": self._file.path.name, "sha256": self._file.sha256}

    def label_texts(self, texts: pl.DataFrame) -> pl.DataFrame:
        """Give texts the label that their votes make most probable; see `combine`.

        The same texts in another order, or several times, get the same labels.

        Args:
            texts: `text`, and `origin`, where it stands.

        Returns:
            `label` (null: it is not known) and `weight` (the label's probability, in
            thousandths), in the texts' order.

        Raises:
            DataError: LABELING_FUNCTION_FAILED.
            RunCancelled: somebody asked the run to stop.
        """
        hashed = plh.col("text").nchash.xxh3_64()  # a random order, and always the same
        once = texts.sort("text", "origin").unique("text", keep="first").sort(hashed, "text")
        self._votes = self._vote(once)
        self._progress(0.6, f"weighs {self._votes.shape[1]} labelling functions")
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
        """What each function did, and how often it was right.

        Args:
            examples: `text`, `origin`, `label` and `label_source`. The first MAX_GOLD_TEXTS that
                functions did not label are what accuracy is measured on.

        Returns:
            For each function its name as `function`, its `line`, and the `labels` that it gave.
            Of the `texts` without a label of their own: its `coverage`, the share that it
            labelled; `overlap`, the share that it and another labelled; `conflict`, the share that
            another labelled otherwise. `gold_texts`: how many with a known label it labelled, and
            its `accuracy` on them, null where there are none.

        Raises:
            DataError: LABELING_FUNCTION_FAILED.
            RunCancelled: somebody asked the run to stop.
        """
        gold = examples.filter(pl.col("label_source") != str(LabelSource.WEAK))
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
        """What each function says of each `text`: [texts, functions]."""
        votes = np.empty((len(texts), len(self._file.functions)), np.int16)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            self._progress(0.6, f"asks the labelling functions, of {len(texts)} texts {start} done")
            part = texts.select("text", "origin").slice(start, _TEXTS_AT_ONCE).rows()
            for column, function in enumerate(self._file.functions):
                given = self._answers(function, part)
                votes[start : start + len(part), column] = np.fromiter(given, np.int16, len(part))
        return votes

    def _answers(self, function: LabelingFunction, texts: list[tuple[str, str]]) -> Iterator[int]:
        for text, origin in texts:
            try:
                yield self._number(function(text))
            except (Exception, SystemExit) as error:
                # A message of the function's own may hold the text, and no log should.
                detail = str(error) if isinstance(error, _BadAnswer) else type(error).__name__
                place = self._file.place_of(error, function.line)
                raise DataError(
                    "LABELING_FUNCTION_FAILED",
                    f"{place}: the labelling function {function.name!r} fails on the text of "
                    f"{origin}: {detail}; mend it, or "
                    "let it return None there",
                ) from None

    def _number(self, given: object) -> int:
        """The number of a label that a function gave."""
        if given is None:
            return ABSTAINS
        if not isinstance(given, str):
            kind = type(given).__name__
            raise _BadAnswer(f"it returned {kind}, and not a string or None")
        known = self._numbers.get(given)
        return self._new_number(given) if known is None else known

    def _new_number(self, given: str) -> int:
        """Take up a label; one that is the same once it is cleaned has the same number."""
        if not given.isprintable() or is_blank(given):
            raise _BadAnswer("it returned what cannot be a label: blank, or control characters")
        label = current(repair(str.__str__(given)), self._renames)
        number = self._numbers.setdefault(label, len(self._labels))
        if number == MAX_LABELS:
            raise _BadAnswer(f"it gave one more label than {MAX_LABELS}; is it made of the text?")
        if number == len(self._labels):
            self._labels.append(label)
        self._numbers[given] = number
        return number


def open_weak_labels(path: Path | None, renames: Renames, progress: Progress) -> WeakLabels | None:
    """Return what labels by the functions of a file; None where there is no file.

    Raises:
        DataError: LABELING_FILE_UNUSABLE.
        ConfigurationError: Snorkel is not installed.
    """
    return None if path is None else WeakLabels(load_functions_file(path), renames, progress)


def _shares_of_texts(votes: Votes) -> list[Mapping[str, float | None]]:
    """For each function the shares of the texts, as Snorkel's LFAnalysis defines them.

    Args:
        votes: [texts, functions].
    """
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
    """For each function how many of the votes [texts, functions] it gave, and how many are right.

    Args:
        votes: of texts whose label is known.
        truth: numbers of their labels, [texts].
    """
    found: list[Mapping[str, float | None]] = []
    for given in votes.T:
        right = (given == truth)[given != ABSTAINS]
        accuracy = round(float(right.mean()), 4) if len(right) else None
        found.append({"gold_texts": len(right), "accuracy": accuracy})
    return found
