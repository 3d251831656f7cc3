"""Predictions in memory, on their way to the database or the spool."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime

from tidemill_core.domain.prediction import Prediction

MAX_HELD_CHARACTERS = 50_000_000
"""Bound on the total length of the held texts, because one may have 100,000 characters."""
BATCH_ROWS = 500
BATCH_CHARACTERS = 1_000_000
"""A batch is full at either bound, so that the database stores it quickly."""


class HeldPredictions:
    """A queue that drops its oldest predictions at a bound.

    Args:
        max_rows: bound on the predictions.
        max_characters: bound on the total length of their texts.
    """

    def __init__(self, max_rows: int, max_characters: int = MAX_HELD_CHARACTERS) -> None:
        self._max_rows = max_rows
        self._max_characters = max_characters
        self._rows: deque[Prediction] = deque()
        self._characters = 0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def oldest_time(self) -> datetime | None:
        """When the oldest prediction was made; None if the queue is empty."""
        return self._rows[0].predict_time if self._rows else None

    def add(self, predictions: Sequence[Prediction]) -> int:
        """Add predictions, and return how many old ones are dropped for them."""
        self._rows.extend(predictions)
        self._characters += sum(len(prediction.text) for prediction in predictions)
        return self._drop_oldest()

    def take(self) -> list[Prediction]:
        """Remove and return a batch of the oldest, oldest first; empty if the queue is empty."""
        batch: list[Prediction] = []
        characters = 0
        while self._rows and len(batch) < BATCH_ROWS and characters < BATCH_CHARACTERS:
            batch.append(self._pop())
            characters += len(batch[-1].text)
        return batch

    def put_back(self, batch: Sequence[Prediction]) -> int:
        """Undo `take`, and return how many old predictions are dropped for newer ones."""
        self._rows.extendleft(reversed(batch))
        self._characters += sum(len(prediction.text) for prediction in batch)
        return self._drop_oldest()

    def _drop_oldest(self) -> int:
        dropped = 0
        while len(self._rows) > self._max_rows or self._characters > self._max_characters:
            self._pop()
            dropped += 1
        return dropped

    def _pop(self) -> Prediction:
        prediction = self._rows.popleft()
        self._characters -= len(prediction.text)
        return prediction
