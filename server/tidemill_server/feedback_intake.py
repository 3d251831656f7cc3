"""What feedback must be like before it is stored. No database is asked."""

from dataclasses import dataclass

from tidemill_core.clock import Clock
from tidemill_core.domain.feedback import Feedback
from tidemill_core.errors import InvalidArgument
from tidemill_core.prediction_id import PredictionIdSigner
from tidemill_core.storage.feedback import new_feedback_id
from tidemill_server.inference.query import (
    MAX_COMMENT_LENGTH,
    MAX_KEY_LENGTH,
    check_text,
    check_words,
)
from tidemill_server.inference.router import Router


@dataclass(frozen=True)
class Verdict:
    """A user's verdict as it came in; exactly one of `correct` and `label` should be there."""

    prediction_id: str
    correct: bool | None
    label: str | None
    source: str
    comment: str
    request_id: str
    text: str


class FeedbackIntake:
    """Checks verdicts."""

    def __init__(self, signer: PredictionIdSigner, router: Router, clock: Clock) -> None:
        self._signer = signer
        self._router = router
        self._clock = clock

    def check(self, verdict: Verdict) -> Feedback:
        """A verdict ready to be stored.

        Raises:
            InvalidArgument: names the field and the rule.
            FailedPrecondition: the prediction's task has no model any more to know labels from.
        """
        claims = self._signer.verify(verdict.prediction_id)
        check_words("source", verdict.source, MAX_KEY_LENGTH)
        check_words("comment", verdict.comment, MAX_COMMENT_LENGTH)
        check_words("request_id", verdict.request_id, MAX_KEY_LENGTH)
        if verdict.correct is None and verdict.label is None:
            raise InvalidArgument("MISSING_VERDICT", "verdict", "give either correct or label")
        if verdict.label is not None:
            self._check_label(claims.task, verdict.label)
        if verdict.text:
            limit = self._router.task_settings(claims.task).max_text_length
            check_text(verdict.text, "text", limit)
        return Feedback(
            feedback_id=new_feedback_id(),
            prediction_id=verdict.prediction_id,
            task=claims.task,
            model_version=claims.model_version,
            correct=verdict.correct,
            label=verdict.label,
            source=verdict.source,
            comment=verdict.comment,
            request_id=verdict.request_id,
            create_time=self._clock(),
            text=verdict.text,
        )

    def _check_label(self, task: str, label: str) -> None:
        known = self._router.routes(task).known_labels
        if label not in known:
            rule = f"{label[:100]!r} is not one of the {len(known)} labels of {task!r}"
            raise InvalidArgument("UNKNOWN_LABEL", "label", rule)
