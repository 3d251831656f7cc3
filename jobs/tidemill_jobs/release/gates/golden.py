"""The gate on golden examples: texts that every model must get right."""

import csv
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

from tidemill_core.counted import counted
from tidemill_core.csv_padding import column_names, csv_reader, stripped, unpadded
from tidemill_core.domain.label_names import Renames, current
from tidemill_core.durable import cause
from tidemill_core.errors import DataError
from tidemill_core.text_repair import repair
from tidemill_jobs.release.gates.gate import Finding, limit, not_applicable
from tidemill_jobs.release.trial import Trial

_SHOWN = 3


def golden(trial: Trial) -> Finding:
    """Ask the candidate for the labels of the task's golden examples.

    Raises:
        DataError: GOLDEN_EXAMPLES, the file cannot be used.
    """
    path = trial.limits.golden_examples
    if path is None:
        return not_applicable("the task has no golden_examples")
    examples, labels = read_golden(path, trial.limits.renames), trial.published.manifest.labels
    answers = trial.published.answer([text for text, _ in examples]).argmax(axis=1)
    wrong = [
        f"{text!r} is answered {labels[answer]}, not {label}"
        for (text, label), answer in zip(examples, answers, strict=True)
        if labels[answer] != label
    ]
    right = len(examples) - len(wrong)
    reason = f"{right:,} of {counted(len(examples), 'golden example')} answered correctly"
    if wrong:
        reason += f"; {'; '.join(wrong[:_SHOWN])}{' …' if len(wrong) > _SHOWN else ''}"
    return limit(len(wrong), 0, reason)


def read_golden(path: Path, renames: Renames) -> list[tuple[str, str]]:
    """Read (text, label) of each example, by the rules of sources, with labels' current names.

    Raises:
        DataError: GOLDEN_EXAMPLES, the file is missing, has no rows, lacks a column or a value, or
            has a row with more columns than the header.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unusable(path, cause(error)) from error
    if not rows:
        raise _unusable(path, "it has no rows; write a header `text,label` and at least one row")
    examples = []
    for number, row in enumerate(rows, 1):
        if None in row:
            raise _unusable(path, f"row {number} has more columns than the header; quote its text")
        text, label = row.get("text"), row.get("label")
        if not (text and label):
            raise _unusable(path, f"row {number} has no text or no label")
        examples.append((text, current(repair(label), renames)))
    return examples


def _rows(lines: Iterable[str]) -> Iterator[dict[str | None, str | None]]:
    """Yield the rows by column; None has what a row has beyond the header."""
    reader = csv_reader(unpadded(lines, ","), ",")
    header = column_names(next(reader, []))
    for row in reader:
        if row:
            yield dict(zip_longest(header, stripped(row[: len(header) + 1])))


def _unusable(path: Path, detail: str) -> DataError:
    return DataError("GOLDEN_EXAMPLES", f"{path} cannot be used: {detail}")
