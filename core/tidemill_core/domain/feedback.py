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


@dataclass(frozen=True, slots=True)
class JudgedPrediction:
    """A source's latest verdict on a prediction, and what else is known about the prediction.

    Labels have their current names.

    Attributes:
        feedback_id: the verdict.
        prediction_id: the prediction.
        source: who gave the verdict.
        label: the label that it gives, or that it confirms; None if it only denies the label.
        predicted: the predicted label; None if the prediction is not stored.
        confidence: the model's confidence; None if the prediction is not stored.
        truth: the label that people decided on; None if they did not.
        create_time: when the verdict was stored.
        hold: why it was held; None if it was not.
        hold_state: the state of its hold; None without one.
    """

    feedback_id: str
    prediction_id: str
    source: str
    label: str | None
    predicted: str | None
    confidence: float | None
    truth: str | None
    create_time: datetime
    hold: "HoldReason | None"
    hold_state: "HoldState | None"

    @property
    def contests(self) -> bool:
        """Whether it says that the predicted label is wrong, as far as that is known."""
        return self.label is None or self.label != self.predicted

    @property
    def agrees(self) -> bool | None:
        """Whether people's label says that it is right; None if they gave none."""
        if self.truth is None:
            return None
        return self.truth == self.label if self.label is not None else self.truth != self.predicted


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
