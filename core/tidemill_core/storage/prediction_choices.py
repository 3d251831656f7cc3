"""Queries that choose predictions for people to label."""

from sqlalchemy import func, select

from tidemill_core.domain.prediction import SHADOW_METHOD, Prediction
from tidemill_core.storage.database import Database
from tidemill_core.storage.prediction_rows import prediction_of_row
from tidemill_core.storage.predictions import Span, with_text
from tidemill_core.storage.schema import predictions


def count_with_text(database: Database, span: Span) -> int:
    """Return how many answers of a span have a text."""
    query = select(func.count()).where(*with_text(span))
    with database.read() as connection:
        return connection.execute(query).scalar_one()


def disputed(database: Database, span: Span, limit: int) -> list[tuple[Prediction, str]]:
    """Return answers whose text a shadow labeled differently, with its label.

    The answers of which both versions are most confident come first; they are at most `limit`.
    """
    shadow = predictions.alias("shadow")
    query = (
        select(predictions, shadow.c.label.label("shadow_label"))
        .join(shadow, shadow.c.text == predictions.c.text)
        .where(*with_text(span))
        .where(
            shadow.c.task == span.task,
            shadow.c.method == SHADOW_METHOD,
            shadow.c.predict_time >= span.since,
            shadow.c.predict_time < span.until,
            shadow.c.label != predictions.c.label,
        )
        .order_by((predictions.c.confidence + shadow.c.confidence).desc())
        .limit(limit)
    )
    with database.read() as connection:
        rows = connection.execute(query).mappings()
        return [(prediction_of_row(row), row["shadow_label"]) for row in rows]
