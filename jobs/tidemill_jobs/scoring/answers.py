"""The answers to a chunk, as they are kept until the whole output is there.

A chunk's answers are a file with the chunk's number and digest in its name. A run that is repeated
after a kill takes these answers, and asks Triton about the other chunks only.
"""

import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import feather

from tidemill_jobs.data.whole_files import written_whole
from tidemill_jobs.scoring.chunks import Chunk

KEEP_SECONDS = 7 * 24 * 3600.0
"""How long the answers of a run that did not end are kept."""


@dataclass(frozen=True)
class RowAnswers:
    """The answers to some rows.

    Attributes:
        labels: the index of each row's label; -1 without an answer: [n].
        confidences: the label's calibrated probability in [0, 1]; 0 without an answer: [n].
        problems: why a row has no answer; empty if it has one.
        prediction_ids: the ids of the predictions, if they are logged; empty without an answer.
    """

    labels: npt.NDArray[np.int64]
    confidences: npt.NDArray[np.float32]
    problems: Sequence[str]
    prediction_ids: Sequence[str] = ()

    def with_ids(self, ids: Iterable[str]) -> "RowAnswers":
        """Return the answers with an id for each row that has one."""
        found = iter(ids)
        given = [next(found) if label >= 0 else "" for label in self.labels.tolist()]
        return replace(self, prediction_ids=given)

    @property
    def count(self) -> int:
        """How many rows have an answer."""
        return int((self.labels >= 0).sum())


class AnswerStore:
    """The kept answers of one scoring, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, chunk: Chunk) -> RowAnswers | None:
        """Return the answers to a chunk; None if they are not kept, or damaged."""
        try:
            table = feather.read_table(self._path(chunk), memory_map=False)
        except (OSError, pa.ArrowException):
            return None
        columns = {name: table.column(name) for name in table.column_names}
        return RowAnswers(
            columns["label"].to_numpy(),
            columns["confidence"].to_numpy(),
            columns["problem"].to_pylist(),
            columns["prediction_id"].to_pylist() if "prediction_id" in columns else (),
        )

    def save(self, chunk: Chunk, answers: RowAnswers) -> None:
        """Keep the answers to a chunk.

        Raises:
            DataError: NOT_WRITTEN, such as for a full disk.
        """
        columns = {
            "label": pa.array(answers.labels),
            "confidence": pa.array(answers.confidences),
            "problem": pa.array(answers.problems, pa.string()),
        }
        if answers.prediction_ids:
            columns["prediction_id"] = pa.array(answers.prediction_ids, pa.string())
        with written_whole(self._path(chunk)) as staged:
            feather.write_feather(pa.table(columns), str(staged), compression="zstd")

    def is_logged(self, chunk: Chunk) -> bool:
        """Return whether the predictions of a chunk are stored."""
        return self._logged(chunk).exists()

    def mark_logged(self, chunk: Chunk) -> None:
        """Remember that the predictions of a chunk are stored."""
        with written_whole(self._logged(chunk)) as staged:
            staged.touch()

    def _path(self, chunk: Chunk) -> Path:
        return self._folder / f"{chunk.number:08}-{chunk.digest}.arrow"

    def _logged(self, chunk: Chunk) -> Path:
        return self._path(chunk).with_suffix(".logged")


def remove_old(folder: Path) -> None:
    """Remove what runs left there that were killed long ago and not repeated."""
    for found in folder.glob("*"):
        if time.time() - found.stat().st_mtime > KEEP_SECONDS:
            shutil.rmtree(found, ignore_errors=True)
