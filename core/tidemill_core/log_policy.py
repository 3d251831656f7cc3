"""The parts of a task's predictions that are stored."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tidemill_core.domain.prediction import Prediction
from tidemill_core.settings import TaskSettings
from tidemill_core.text_hash import text_hash

_HASHES = 2**32


@dataclass(frozen=True)
class LogPolicy:
    """The choice of stored predictions, and of what is stored of their texts.

    Attributes:
        tasks: the tasks by name.
        text_key: key for the hashes of texts.
    """

    tasks: Mapping[str, TaskSettings]
    text_key: bytes

    def sample(self, predictions: Sequence[Prediction]) -> Sequence[Prediction]:
        """Return the predictions that are in their task's sample.

        The CRC-32 of an id decides, so the sample is reproducible, and a larger sample contains
        the smaller ones. Ids end in random bytes, which distribute the CRCs evenly.
        """
        if not self._shares:
            return predictions
        return [
            each
            for each in predictions
            if each.task not in self._shares
            or zlib.crc32(each.prediction_id.encode()) < self._shares[each.task] * _HASHES
        ]

    @cached_property
    def _shares(self) -> dict[str, float]:
        """The shares of the tasks of which not all is stored."""
        return {n: task.log_sample for n, task in self.tasks.items() if task.log_sample < 1.0}

    def as_stored(self, prediction: Prediction) -> Prediction:
        """Return a prediction with only what its task keeps of the text."""
        task = self.tasks.get(prediction.task)
        if task is None or task.store_text == "plain":
            return prediction
        hashed = text_hash(self.text_key, prediction.text) if task.store_text == "hash" else ""
        return prediction._replace(text="", text_hash=hashed)
