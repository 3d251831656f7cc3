"""The job `evaluate`: measures of one version on labeled rows, or of two on the same rows."""

from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tidemill_core.counted import counted
from tidemill_core.domain.job import EVALUATE
from tidemill_core.domain.job_parameters import EvaluateParameters, MissingInput, SameVersion
from tidemill_core.domain.label_names import Renames, current
from tidemill_core.errors import DataError
from tidemill_core.text_repair import repair
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.data.sources.errors import NoRows
from tidemill_jobs.data.sources.files.stored_file import without_secrets
from tidemill_jobs.data.sources.raw_rows import as_word
from tidemill_jobs.evaluation.measures import Judged, measures_of
from tidemill_jobs.evaluation.paired import compare
from tidemill_jobs.scoring.answers import RowAnswers
from tidemill_jobs.scoring.chunks import Chunk, chunks
from tidemill_jobs.scoring.reading import Wanted, read_rows
from tidemill_jobs.scoring.reading.row import Row
from tidemill_jobs.scoring.score import private_folders
from tidemill_jobs.scoring.scorer import Scorer, ServedVersion, asked_version, served_version
from tidemill_jobs.scoring.turns import SharedTurns

_SHOWN = 5
_NO_LABEL = "NO_LABEL"


def run(context: JobContext) -> Result:
    """Evaluate one version, or compare two.

    Raises:
        DataError: the rows cannot be used: no rows, no labeled rows, a single label, or no label
            that the version knows; names the place.
        MissingInput: the run names no rows.
        SameVersion: a version is compared with itself.
        NoChampion: the task has no champion.
        NoClasses: the task's models have no labels.
        VersionNotLoaded: Triton does not serve a version.
    """
    asked = context.parameters
    if not isinstance(asked, EvaluateParameters):
        raise MissingInput(EVALUATE)
    numbers = [asked.model_version, *([asked.against] if asked.against else [])]
    versions = [_served(context, number) for number in numbers]
    if len({version.number for version in versions}) < len(versions):
        raise SameVersion(asked.against)
    rows = _answered(context, asked, versions)
    place = without_secrets(asked.input)
    if not rows.seen:
        raise NoRows(place)
    renames = context.task_settings.labels.rename
    known = {current(label, renames) for label in versions[0].labels}
    _check_labels(place, rows, versions[0].number, known)
    return {"input": place, **_counts(rows, known), **_measures(rows, versions)}


@dataclass
class _Rows:
    """The rows that can be judged, and the answers of each version to them.

    Attributes:
        seen: all rows.
        left_out: the number of rows that cannot be judged, by the reason.
        labels: the right labels.
        origins: the places of the rows.
        answers: for each version, the label of each row.
        confidences: for each version, the confidences, in parts.
    """

    seen: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    labels: list[str] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    answers: list[list[str]] = field(default_factory=list)
    confidences: list[list[Any]] = field(default_factory=list)


def _served(context: JobContext, number: int) -> ServedVersion:
    version = asked_version(context.storage.models, context.task, number)
    return served_version(version, context.repository, context.task_settings)


def _answered(
    context: JobContext, asked: EvaluateParameters, versions: Sequence[ServedVersion]
) -> _Rows:
    """Ask each version about each labeled row."""
    rows = _Rows(answers=[[] for _ in versions], confidences=[[] for _ in versions])
    limit, renames = context.task_settings.max_text_length, context.task_settings.labels.rename
    turns = SharedTurns(context.triton.answered_calls)
    wanted = Wanted(asked.text_column, asked.label_column)
    private = private_folders(context.settings)
    with ExitStack() as stack:
        scorers = [
            stack.enter_context(Scorer(version, context.triton, turns, limit))
            for version in versions
        ]
        for chunk in chunks(read_rows(asked.input, wanted, private)):
            pending = [scorer.begin(chunk.rows) for scorer in scorers]
            answers = [scorer.finish(each) for scorer, each in zip(scorers, pending, strict=True)]
            _add(rows, chunk, asked.label_column, answers, versions, renames)
            context.progress(chunk.done, counted(rows.seen, "row"))
    return rows


def _add(
    rows: _Rows,
    chunk: Chunk,
    label_column: str,
    answers: Sequence[RowAnswers],
    versions: Sequence[ServedVersion],
    renames: Renames,
) -> None:
    """Add the rows of a chunk that have a label, and an answer of each version."""
    labels = [_label(row, label_column) for row in chunk.rows]
    kept = []
    for place, label in enumerate(labels):
        problem = next((each.problems[place] for each in answers if each.problems[place]), "")
        if problem or not label:
            rows.left_out[problem or _NO_LABEL] += 1
        else:
            kept.append(place)
    rows.seen += len(labels)
    rows.labels += [current(labels[place], renames) for place in kept]
    rows.origins += [chunk.rows[place].origin for place in kept]
    for number, (version, each) in enumerate(zip(versions, answers, strict=True)):
        rows.answers[number] += [
            current(version.labels[int(each.labels[place])], renames) for place in kept
        ]
        rows.confidences[number].append(each.confidences[kept])


def _label(row: Row, column: str) -> str:
    """Return a row's label as a build reads it; empty without one."""
    try:
        return repair(as_word(row.values.get(column)) or "")
    except TypeError:
        return ""


def _check_labels(place: str, rows: _Rows, version: int, known: Collection[str]) -> None:
    if not rows.labels:
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(rows.left_out.items()))
        raise DataError("NO_LABELED_ROWS", f"{place}: no row can be judged ({why})")
    found = set(rows.labels)
    if not found & set(known):
        problem = f"version {version} knows none of the labels, such as {_some(found)}"
        advice = f"it knows {_some(known)}; check the label column"
        raise DataError("UNKNOWN_LABELS", f"{place}: {problem}; {advice}")
    if len(found) == 1:
        problem = f"{counted(len(rows.labels), 'row')} with the label {_some(found)}, and no other"
        advice = "add rows of other labels: one label shows no errors of the others"
        raise DataError("ONE_LABEL", f"{place}: {problem}; {advice}")


def _some(labels: Collection[str]) -> str:
    some = ", ".join(map(repr, sorted(labels)[:_SHOWN]))
    return some + (" and others" if len(labels) > _SHOWN else "")


def _counts(rows: _Rows, known: Collection[str]) -> dict[str, Any]:
    """Return what the rows are, as JSON values."""
    unknown = Counter(label for label in rows.labels if label not in known)
    return {
        "row_count": len(rows.labels),
        "left_out": dict(sorted(rows.left_out.items())),
        "unknown_labels": [
            {"label": label, "row_count": count} for label, count in unknown.most_common()
        ],
    }


def _measures(rows: _Rows, versions: Sequence[ServedVersion]) -> dict[str, Any]:
    """Return the measures of the first version, and how it compares with the second."""
    judged = [
        Judged(rows.labels, answers, np.concatenate(confidences), rows.origins)
        for answers, confidences in zip(rows.answers, rows.confidences, strict=True)
    ]
    found = [
        {"model_version": version.number, **measures_of(each, version.abstain_below)}
        for version, each in zip(versions, judged, strict=True)
    ]
    if len(found) == 1:
        return found[0]
    comparison = compare(*(each.right for each in judged))
    return {**found[0], "against": found[1], "comparison": asdict(comparison)}
