"""Some of a window's predictions, found without reading the others."""

from datetime import datetime

from sqlalchemy import literal_column, select

from tidemill_core.domain.model import ModelState
from tidemill_core.domain.prediction import SHADOW_METHOD, Prediction
from tidemill_core.domain.signals import Signal, bin_bounds
from tidemill_core.storage.database import Database
from tidemill_core.storage.prediction_rows import in_sample, indexed, prediction_of_row
from tidemill_core.storage.predictions import PredictionWindow, answered
from tidemill_core.storage.schema import feedback, model_versions, predictions

_NEWEST_SEARCHED = 10_000


class PredictionSamples:
    """Samples of the table of predictions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sample(self, window: PredictionWindow, count: int, limit: int) -> list[Prediction]:
        """Return a random sample of a window's answers that have a text; always the same one.

        Args:
            window: which predictions.
            count: about how many the window has, with or without a text.
            limit: the most predictions to return.
        """
        with_text = predictions.c.text != literal_column("''")
        wanted = (*answered(window), *in_sample(count, limit), with_text)
        order = (predictions.c.sample_key, predictions.c.prediction_id)
        query = select(predictions).where(*wanted).order_by(*order).limit(limit)
        with self._database.read() as connection:
            return [prediction_of_row(row) for row in connection.execute(query).mappings()]

    def unjudged(self, task: str, since: datetime, least: float, limit: int) -> list[Prediction]:
        """Return a random sample of a task's confident answers that no verdict is about.

        Only answers with a text that are not marked as abstained count, of versions that were not
        rolled back. The same answers are returned until others are stored, judged or removed.

        Args:
            task: the task.
            since: the time from which answers count.
            least: the lowest confidence.
            limit: the most answers to return.
        """
        column = predictions.c
        judged = select(feedback.c.sequence).where(feedback.c.prediction_id == column.prediction_id)
        withdrawn = select(model_versions.c.version).filter_by(
            task=task, state=ModelState.ROLLED_BACK
        )
        query = select(predictions).where(
            column.task == task,
            column.model_version.not_in(withdrawn),
            column.predict_time >= since,
            column.text != literal_column("''"),
            column.method != SHADOW_METHOD,
            column.confidence >= least,
            column.abstained.is_(False),
            ~judged.exists(),
        )
        query = query.order_by(column.sample_key, column.prediction_id).limit(limit)
        with self._database.read() as connection:
            # Of much traffic, the indexed rows are enough, and they are the first in this order.
            found = connection.execute(query.where(*indexed())).mappings().all()
            if len(found) < limit:
                found = connection.execute(query).mappings().all()
        return [prediction_of_row(row) for row in found]

    def examples(
        self, window: PredictionWindow, signal: Signal, name: str, limit: int
    ) -> list[str]:
        """Return the ids of up to `limit` of a window's newest answers in one bin of a signal.

        Args:
            window: which predictions; only its newest are searched.
            signal: not the representation.
            name: the label, or the number of the bin.
            limit: the most ids to return.
        """
        columns = {
            Signal.CONFIDENCE: predictions.c.confidence,
            Signal.TEXT_LENGTH: predictions.c.text_length,
            Signal.UNKNOWN_PIECES: predictions.c.unknown_pieces,
        }
        value = columns.get(signal, predictions.c.label).label("value")
        newest = select(predictions.c.prediction_id, value).where(*answered(window))
        newest = newest.order_by(predictions.c.predict_time.desc()).limit(_NEWEST_SEARCHED)
        of = newest.subquery().c
        is_in = [of.value == name]
        if signal in columns:
            low, high = bin_bounds(signal, int(name))
            is_in = [of.value >= low, of.value < high]
        query = select(of.prediction_id).where(*is_in).limit(limit)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())
