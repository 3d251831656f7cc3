"""The prediction log, which stores every prediction without delaying requests.

    held     predictions in memory, up to a bound
    spool    files for predictions that the database cannot accept, up to a bound
    replay   from the spool to the database, once it is back
    writer   the log itself: from memory to the database, or else to the spool

Rows are idempotent by prediction_id, so a prediction that is written twice counts once.
docs/prediction-log.md describes every case.
"""

from tidemill_server.prediction_log.writer import PredictionLog

__all__ = ["PredictionLog"]
