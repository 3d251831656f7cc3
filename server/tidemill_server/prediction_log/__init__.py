"""Writes every prediction down without holding a request up.

    policy   what is written down of a task's predictions
    held     predictions in memory, up to a bound
    spool    files for what the database cannot take, up to a bound
    replay   from there to the database, once it is back
    writer   the log itself: from memory to the database, or else to the spool

Rows are idempotent by prediction_id, so what was written twice counts once. docs/prediction-log.md
says what happens when.
"""

from tidemill_server.prediction_log.policy import LogPolicy
from tidemill_server.prediction_log.writer import PredictionLog

__all__ = ["LogPolicy", "PredictionLog"]
