"""The parts of a task's predictions that are stored."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

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

    def is_stored(self, prediction: Prediction) -> bool:
        """Return whether a prediction is in its task's sample.

        The CRC-32 of its id decides, so the sample is reproducible, and a larger sample contains
        the smaller ones. Ids end in random bytes, which distribute the CRCs evenly.
        """
        task = self.tasks.get(prediction.task)
        share = task.log_sample if task else 1.0
        return share == 1.0 or zlib.crc32(prediction.prediction_id.encode()) < share * _HASHES

    def as_stored(self, prediction: Prediction) -> Prediction:
        """Return a prediction with only what its task keeps of the text."""
        task = self.tasks.get(prediction.task)
        if task is None or task.store_text == "plain":
            return prediction
        hashed = text_hash(self.text_key, prediction.text) if task.store_text == "hash" else ""
        return replace(prediction, text="", text_hash=hashed)
