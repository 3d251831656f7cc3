"""Queries of callers."""

from collections.abc import Mapping
from typing import NamedTuple

from tidemill_core.errors import InvalidArgument

UNARY_METHOD = "Predict"
BATCH_METHOD = "BatchPredict"
STREAM_METHOD = "StreamPredict"
METHODS = (UNARY_METHOD, BATCH_METHOD, STREAM_METHOD)
"""Prediction methods, by the name that is stored with each prediction."""
DEFAULT_SECONDS = 10.0
"""Timeout of calls without a deadline, and the longest timeout of a stream's item."""


class UnknownModelVersion(InvalidArgument):
    """A version that does not exist, or does not answer."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__("UNKNOWN_MODEL_VERSION", field, rule)


class Query(NamedTuple):
    """A request to predict, without its texts.

    Attributes:
        task: the task.
        method: one of METHODS, or the log's name for a shadow's copy.
        deadline: on the event loop's clock, in seconds.
        arrival: when it arrived, on the same clock.
        top_k: how many scores to return; 0 means 1.
        model_version: the version to use; 0 lets the router choose.
        request_id: chosen by the caller.
        routing_key: chosen by the caller.
        attributes: chosen by the caller.
    """

    task: str
    method: str
    deadline: float
    arrival: float
    top_k: int = 0
    model_version: int = 0
    request_id: str = ""
    routing_key: str = ""
    attributes: Mapping[str, str] | None = None
