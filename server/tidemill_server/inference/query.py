"""What callers ask."""

from collections.abc import Mapping
from typing import NamedTuple

UNARY_METHOD = "Predict"
BATCH_METHOD = "BatchPredict"
STREAM_METHOD = "StreamPredict"
METHODS = (UNARY_METHOD, BATCH_METHOD, STREAM_METHOD)
"""How callers ask, by the name that is stored with each prediction."""
DEFAULT_SECONDS = 10.0
"""How long callers wait who set no deadline, and items of a stream at most."""
MAX_SECONDS = 24 * 3600.0
"""The longest that a call waits; gRPC takes times of centuries for times gone by."""


class Query(NamedTuple):
    """One caller's question: the same for all texts of a batch.

    Attributes:
        task: the task to ask.
        method: one of METHODS, or the log's name for a shadow's copy.
        deadline: on the event loop's clock, in seconds; after it nobody waits.
        arrival: when it came, on the same clock.
        top_k: how many scores to return; 0 means 1.
        model_version: the version to ask; 0 lets the router choose.
        request_id: the caller's.
        routing_key: the caller's.
        attributes: the caller's.
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
