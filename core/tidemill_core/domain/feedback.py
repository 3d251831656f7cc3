"""Feedback: a user's verdict on one prediction."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Feedback:
    """One verdict, durable from the moment it is acknowledged.

    Attributes:
        feedback_id: its id.
        prediction_id: the prediction it judges.
        task: the prediction's task.
        model_version: the version that made the prediction.
        correct: the user's verdict, where that is what they gave.
        label: the right label, where that is what they gave.
        source: who says so.
        comment: their words.
        request_id: the caller's key for repeating safely; may be empty.
        create_time: when it was stored.
        text: the text that was judged, where the caller gave it again; otherwise empty.
    """

    feedback_id: str
    prediction_id: str
    task: str
    model_version: int
    correct: bool | None
    label: str | None
    source: str
    comment: str
    request_id: str
    create_time: datetime
    text: str = ""
