"""Python client of Tidemill.

from tidemill_client import TidemillClient

with TidemillClient("127.0.0.1:50051") as client:
    prediction = client.predict("support", "My card has not arrived")
    print(prediction.label, prediction.confidence)
    client.submit_feedback(prediction.prediction_id, correct=True)
"""

from tidemill_client.client import TidemillClient
from tidemill_client.client_async import AsyncTidemillClient
from tidemill_client.connection import Tls
from tidemill_client.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidRequest,
    MessageTooLarge,
    NotFound,
    Overloaded,
    PermissionDenied,
    TidemillError,
    Unauthenticated,
    Unavailable,
    translated_errors,
)
from tidemill_client.results import Feedback, Prediction, Score

__all__ = [
    "AsyncTidemillClient",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Feedback",
    "FieldViolation",
    "Internal",
    "InvalidRequest",
    "MessageTooLarge",
    "NotFound",
    "Overloaded",
    "PermissionDenied",
    "Prediction",
    "Score",
    "TidemillClient",
    "TidemillError",
    "Tls",
    "Unauthenticated",
    "Unavailable",
    "translated_errors",
]
