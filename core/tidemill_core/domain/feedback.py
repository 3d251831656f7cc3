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
        correct: whether the predicted label is right; None if a label was given.
        label: the right label; None if `correct` was given.
        source: who gave the verdict.
        comment: their comment.
        request_id: the caller's id for safe retries; may be empty.
        create_time: when it was stored.
        text: the judged text, if the caller sent it again; otherwise empty.
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
