"""Predictions in memory, on their way to the database or the spool."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime

from tidemill_core.domain.prediction import Prediction

MAX_HELD_CHARACTERS = 50_000_000
"""Bound on the texts held, whatever the number of rows: one may have 100,000 characters."""
BATCH_ROWS = 500
BATCH_CHARACTERS = 1_000_000
"""A batch is full at either, so that it is a moment's work for the database."""


class HeldPredictions:
    """A queue whose oldest predictions are lost at the bound.

    Args:
        max_rows: predictions that it holds.
        max_characters: characters that their texts have together.
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
        """When the oldest was made; None where there is none."""
        return self._rows[0].predict_time if self._rows else None

    def append(self, prediction: Prediction) -> int:
        """Add the newest; returns how many of the oldest are lost for it."""
        self._rows.append(prediction)
        self._characters += len(prediction.text)
        return self._lose_oldest()

    def take(self) -> list[Prediction]:
        """Remove a batch of the oldest, oldest first; empty where nothing is held."""
        batch: list[Prediction] = []
        characters = 0
        while self._rows and len(batch) < BATCH_ROWS and characters < BATCH_CHARACTERS:
            batch.append(self._pop())
            characters += len(batch[-1].text)
        return batch

    def put_back(self, batch: Sequence[Prediction]) -> int:
        """Undo `take`; returns how many of the oldest are lost, since others came meanwhile."""
        self._rows.extendleft(reversed(batch))
        self._characters += sum(len(prediction.text) for prediction in batch)
        return self._lose_oldest()

    def _lose_oldest(self) -> int:
        lost = 0
        while len(self._rows) > self._max_rows or self._characters > self._max_characters:
            self._pop()
            lost += 1
        return lost

    def _pop(self) -> Prediction:
        prediction = self._rows.popleft()
        self._characters -= len(prediction.text)
        return prediction
