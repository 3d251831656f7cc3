"""The results of calls: frozen values made from the generated messages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tidemill.v1 import feedback_service_pb2, prediction_service_pb2
from tidemill_client.errors import TidemillError


@dataclass(frozen=True, slots=True)
class Score:
    """The probability of one label.

    Attributes:
        label: the label.
        score: its calibrated probability, in [0, 1].
    """

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one text.

    Attributes:
        prediction_id: the signed id, to which feedback refers.
        label: the most probable label.
        confidence: the calibrated probability of that label, in [0, 1].
        scores: the `top_k` most probable labels, best first.
        model_version: the model version that answered.
        abstained: whether the confidence is under the task's threshold, so a person should decide.
        score: the reward of an answer, in a task of the kind preference; None in other tasks.
    """

    prediction_id: str
    label: str
    confidence: float
    scores: tuple[Score, ...]
    model_version: int
    abstained: bool
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """One stored verdict.

    Attributes:
        feedback_id: its id.
        prediction_id: the id of the prediction.
        task: the prediction's task.
        model_version: the version that made the prediction.
        correct: whether the predicted label is right; None if `label` is the verdict.
        label: the right label; None if `correct` is the verdict.
        source: who says so.
        comment: a comment of that person.
        create_time: when it was stored, in UTC.
    """

    feedback_id: str
    prediction_id: str
    task: str
    model_version: int
    correct: bool | None
    label: str | None
    source: str
    comment: str
    create_time: datetime


def prediction_of(message: prediction_service_pb2.Prediction) -> Prediction:
    """Return the value for a message."""
    return Prediction(
        prediction_id=message.prediction_id,
        label=message.label,
        confidence=message.confidence,
        scores=tuple(Score(one.label, one.score) for one in message.scores),
        model_version=message.model_version,
        abstained=message.abstained,
        score=message.score if message.HasField("score") else None,
    )


def result_of(
    message: prediction_service_pb2.BatchPredictResult
    | prediction_service_pb2.StreamPredictResponse,
    request_id: str = "",
) -> Prediction | TidemillError:
    """Return an item's prediction, or the error in its place.

    Args:
        message: the item.
        request_id: the `request_id` of the error.
    """
    if message.WhichOneof("result") == "error":
        return TidemillError.from_status(message.error, request_id)
    return prediction_of(message.prediction)


def batch_results(
    results: Iterable[prediction_service_pb2.BatchPredictResult],
    errors: Mapping[int, TidemillError],
    request_id: str,
) -> list[Prediction | TidemillError]:
    """Return a batch's results, with the errors of texts that were not sent in their place."""
    return [
        errors[number] if number in errors else result_of(result, request_id)
        for number, result in enumerate(results)
    ]


def feedback_of(message: feedback_service_pb2.Feedback) -> Feedback:
    """Return the value for a message."""
    verdict = message.WhichOneof("verdict")
    return Feedback(
        feedback_id=message.feedback_id,
        prediction_id=message.prediction_id,
        task=message.task,
        model_version=message.model_version,
        correct=message.correct if verdict == "correct" else None,
        label=message.label if verdict == "label" else None,
        source=message.source,
        comment=message.comment,
        create_time=message.create_time.ToDatetime(tzinfo=UTC),
    )
