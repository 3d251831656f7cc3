"""Feedback on predictions."""

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from tidemill_core.clock import Clock
from tidemill_core.domain.feedback import Feedback
from tidemill_core.domain.labeling import MAX_LABEL_LENGTH
from tidemill_core.errors import InvalidArgument, RequestIdReused, TidemillError
from tidemill_core.prediction_id import PredictionIdSigner
from tidemill_core.storage.database import Page
from tidemill_core.storage.feedback import FeedbackStore
from tidemill_core.text_repair import repair
from tidemill_core.unknown_label import UnknownLabel
from tidemill_server.handlers.fields import (
    MAX_COMMENT_LENGTH,
    MAX_KEY_LENGTH,
    check_text,
    check_words,
)
from tidemill_server.handlers.task_page import of_task
from tidemill_server.handlers.threads import in_thread
from tidemill_server.inference.router import Router

CHUNK = 500
"""Number of a stream's feedback messages that are stored in one transaction."""
MAX_LISTED_REJECTIONS = 1000


@dataclass(frozen=True)
class NewFeedback:
    """Submitted feedback, in which exactly one of `correct` and `label` should be set."""

    prediction_id: str
    correct: bool | None = None
    label: str | None = None
    source: str = ""
    comment: str = ""
    request_id: str = ""
    text: str = ""


@dataclass(frozen=True)
class Rejection:
    """The error of one message of a stream.

    Attributes:
        index: the message's position in the stream, from 0.
        error: why it was not stored.
    """

    index: int
    error: TidemillError


@dataclass
class FeedbackOutcome:
    """The outcome of a stream.

    Attributes:
        accepted_count: number of stored messages, repeated ones included.
        rejected_count: number of rejected messages.
        rejections: the first MAX_LISTED_REJECTIONS of them.
    """

    accepted_count: int = 0
    rejected_count: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def reject(self, index: int, error: TidemillError) -> None:
        """Count and list a message that is not stored."""
        self.rejected_count += 1
        if len(self.rejections) < MAX_LISTED_REJECTIONS:
            self.rejections.append(Rejection(index, error))


@dataclass(frozen=True)
class FeedbackHandler:
    """Stores and lists feedback."""

    feedback: FeedbackStore
    signer: PredictionIdSigner
    router: Router
    clock: Clock

    @in_thread
    def submit(self, new: NewFeedback) -> Feedback:
        """Store feedback on one prediction.

        Raises:
            InvalidArgument: names the field and the rule.
            FailedPrecondition: no model can answer for the prediction's task, so its labels are
                unknown.
        """
        checked = self._checked(new)
        [stored] = self.feedback.add([checked])
        _check_request_id(checked, stored)
        return stored

    async def submit_many(self, stream: AsyncIterator[NewFeedback]) -> FeedbackOutcome:
        """Store the valid feedback of a stream, and list the rejected feedback.

        Raises:
            InvalidArgument: a message is malformed; the feedback before it is stored.
        """
        outcome = FeedbackOutcome()
        chunk: dict[int, Feedback] = {}
        index = 0
        try:
            async for new in stream:
                try:
                    chunk[index] = self._checked(new)
                except TidemillError as error:
                    outcome.reject(index, error.with_traceback(None))
                index += 1
                if len(chunk) == CHUNK:
                    await self._store_chunk(chunk, outcome)
                    chunk = {}
        except InvalidArgument:
            await self._store_chunk(chunk, outcome)
            raise
        await self._store_chunk(chunk, outcome)
        outcome.rejections.sort(key=lambda rejection: rejection.index)
        return outcome

    @in_thread
    def _store_chunk(self, chunk: Mapping[int, Feedback], outcome: FeedbackOutcome) -> None:
        if not chunk:
            return
        stored = self.feedback.add(list(chunk.values()))
        for (index, checked), answer in zip(chunk.items(), stored, strict=True):
            try:
                _check_request_id(checked, answer)
                outcome.accepted_count += 1
            except RequestIdReused as error:
                outcome.reject(index, error.with_traceback(None))

    @in_thread
    def list_feedback(
        self, task: str, prediction_id: str, page: Page
    ) -> tuple[list[Feedback], str]:
        """Return a page of feedback, newest first, and the next page's token."""
        found = self.feedback.page(task, prediction_id, page)
        return of_task(self.router, task, found, partial(self.feedback.page, task, ""))

    def _checked(self, new: NewFeedback) -> Feedback:
        """Return checked feedback without a database query. Raises as `submit`."""
        claims = self.signer.verify(new.prediction_id)
        check_words("source", new.source, MAX_KEY_LENGTH)
        check_words("comment", new.comment, MAX_COMMENT_LENGTH)
        check_words("request_id", new.request_id, MAX_KEY_LENGTH)
        if new.correct is None and new.label is None:
            raise InvalidArgument("MISSING_VERDICT", "verdict", "give either correct or label")
        if new.correct is not None and new.label is not None:
            raise InvalidArgument("TWO_VERDICTS", "verdict", "give correct or label, not both")
        if self.router.task_settings(claims.task).kind == "preference":
            rule = "rates an answer, which is neither right nor wrong: submit a preference instead"
            raise InvalidArgument("NOT_A_LABEL", "prediction_id", rule)
        if new.label is not None:
            known = self.router.routes(claims.task).known_labels
            label = _in_form(new.label, known)
            new = replace(new, label=label)
            if label not in known:
                renamed = self.router.task_settings(claims.task).labels.rename
                ways = _ways_to_add(claims.task)
                raise UnknownLabel(claims.task, label, known.difference(renamed), ways)
        if new.text:
            limit = self.router.task_settings(claims.task).max_text_length
            check_text("text", new.text, limit)
        return Feedback(
            feedback_id=uuid.uuid4().hex,
            task=claims.task,
            model_version=claims.model_version,
            create_time=self.clock(),
            **vars(new),
        )


def _in_form(label: str, known: frozenset[str]) -> str:
    """Return a label in the form that labels have in datasets: composed, single-spaced."""
    return label if label in known or len(label) > MAX_LABEL_LENGTH else repair(label)


def _ways_to_add(task: str) -> str:
    return (
        "To add a label, add a row with it to a source, import texts that have it (`tidemill label"
        f" import`), or set labels.add in tidemill.toml, under [tasks.{task}.labels]"
    )


def _check_request_id(checked: Feedback, stored: Feedback) -> None:
    """Raise RequestIdReused if the request id belongs to feedback on another prediction."""
    if (stored.prediction_id, stored.source) != (checked.prediction_id, checked.source):
        raise RequestIdReused("verdict", "prediction and source")
