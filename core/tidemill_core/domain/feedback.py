"""Feedback: a user's verdict on one prediction, and verdicts that are held for review."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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


class HoldReason(StrEnum):
    """Why a verdict is held."""

    BURST = "BURST"
    """A few sources give one label, or take one away, far more often than all others."""
    REPUTATION = "REPUTATION"
    """People's labels show that its source is often wrong."""
    LIMIT = "LIMIT"
    """Its source gave more verdicts in a day than one source may."""
    CONTRADICTION = "CONTRADICTION"
    """Other sources, or people, give the prediction another label."""


class HoldState(StrEnum):
    """The state of a hold."""

    HELD = "HELD"
    """The verdict does not count and waits for review."""
    RELEASED = "RELEASED"
    """The verdict counts."""
    DROPPED = "DROPPED"
    """The verdict never counts."""


@dataclass(frozen=True)
class FeedbackHold:
    """One verdict that was held for review.

    Attributes:
        feedback_id: the verdict.
        task: its task.
        source: its source.
        label: the label that the verdict gives, or of which it says that it is wrong; may be empty.
        reason: why it was held.
        detail: the same in a sentence, with the figures.
        create_time: when it was held.
        state: its state.
        actor: who released or dropped it; empty until then.
        comment: why they did.
        resolve_time: when they did; None until then.
    """

    feedback_id: str
    task: str
    source: str
    label: str
    reason: HoldReason
    detail: str
    create_time: datetime
    state: HoldState = HoldState.HELD
    actor: str = ""
    comment: str = ""
    resolve_time: datetime | None = None
