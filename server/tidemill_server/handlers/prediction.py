"""Predictions: the rules of a query, and stored predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidemill_core.domain.prediction import Prediction
from tidemill_core.errors import InvalidArgument, NotFound, TidemillError
from tidemill_core.prediction_id import PredictionIdSigner
from tidemill_core.rewards import rated_text
from tidemill_core.settings import TaskSettings
from tidemill_core.storage.predictions import PredictionStore
from tidemill_server.handlers.fields import MAX_KEY_LENGTH, check_text, check_words
from tidemill_server.handlers.threads import in_thread
from tidemill_server.inference.predictor import Predictor
from tidemill_server.inference.query import UNARY_METHOD, Query
from tidemill_server.inference.router import Router
from tidemill_server.inference.work import Answer
from tidemill_server.telemetry.tracing import Tracing

MAX_BATCH_TEXTS = 1024
MAX_ATTRIBUTES = 16


@dataclass(frozen=True)
class PredictionHandler:
    """Predicts labels of texts, and shows stored predictions."""

    predictor: Predictor
    router: Router
    store: PredictionStore
    signer: PredictionIdSigner
    tracing: Tracing

    @in_thread
    def get(self, prediction_id: str) -> Prediction:
        """Return a stored prediction.

        Raises:
            InvalidArgument: INVALID_PREDICTION_ID.
            NotFound: the prediction is not stored.
        """
        self.signer.verify(prediction_id)
        found = self.store.get(prediction_id)
        if found is None:
            raise NotFound("prediction", prediction_id)
        return found

    async def predict(self, query: Query, text: str, response: str = "") -> Prediction:
        """Answer one text, or rate a response to it.

        Raises:
            TidemillError: InvalidArgument, or what `Predictor.predict` raises.
        """
        try:
            check_query(query)
            settings = self.router.task_settings(query.task)
            check_text("text", text, settings.max_text_length)
            if response or settings.kind == "preference":
                _check_response(response, query.task, settings)
                text = rated_text(text, response)
        except TidemillError as error:
            self.predictor.count_failed(query, error, 1)
            raise
        [answer] = await self.predictor.predict(query, [text])
        if isinstance(answer, TidemillError):
            raise answer
        if query.method == UNARY_METHOD:
            self.tracing.describe_prediction(text, answer)
        return answer

    async def predict_item(self, query: Query, text: str, response: str = "") -> Answer:
        """Answer one text of a stream, whose id is the query's request id."""
        try:
            check_words("id", query.request_id, MAX_KEY_LENGTH)
            return await self.predict(query, text, response)
        except TidemillError as error:
            return error.with_traceback(None)

    async def predict_batch(self, query: Query, texts: Sequence[str]) -> list[Answer]:
        """Answer texts in their order, each with a prediction or an error.

        Raises:
            TidemillError: as `predict`, if the error concerns all texts.
        """
        try:
            check_batch_size(len(texts))
            check_query(query)
            settings = self.router.task_settings(query.task)
            if settings.kind == "preference":
                _check_response("", query.task, settings)
            limit = settings.max_text_length
        except TidemillError as error:
            self.predictor.count_failed(query, error, len(texts))
            raise
        answers: list[Answer | None] = [_violation(text, i, limit) for i, text in enumerate(texts)]
        for answer in answers:
            if isinstance(answer, TidemillError):
                self.predictor.count_failed(query, answer, 1)
        good = [i for i, answer in enumerate(answers) if answer is None]
        if good:
            found = await self.predictor.predict(query, [texts[i] for i in good])
            for i, answer in zip(good, found, strict=True):
                answers[i] = answer
        return [answer for answer in answers if answer is not None]


def check_query(query: Query) -> None:
    """Check the fields that depend on neither the text nor the task.

    Raises:
        InvalidArgument: names the field and the rule.
    """
    if query.top_k < 0:
        raise InvalidArgument("INVALID_TOP_K", "top_k", f"{query.top_k} is negative")
    check_words("request_id", query.request_id, MAX_KEY_LENGTH)
    check_words("routing_key", query.routing_key, MAX_KEY_LENGTH)
    if query.attributes:
        _check_attributes(query.attributes)


def _check_response(response: str, task: str, settings: TaskSettings) -> None:
    if settings.kind != "preference":
        rule = f"must be left out: task {task!r} predicts labels, and rates no answers"
        raise InvalidArgument("RESPONSE_NOT_EXPECTED", "response", rule)
    if not response:
        rule = (
            f"is missing: task {task!r} rates answers; give the prompt as text and the answer as "
            "response, in Predict or StreamPredict"
        )
        raise InvalidArgument("RESPONSE_MISSING", "response", rule)
    check_text("response", response, settings.max_text_length)


def check_batch_size(count: int) -> None:
    """Raise InvalidArgument for a batch without texts or with more than MAX_BATCH_TEXTS."""
    if not count:
        raise InvalidArgument("EMPTY_BATCH", "texts", "has no texts")
    if count > MAX_BATCH_TEXTS:
        rule = f"has {count} texts; the limit is {MAX_BATCH_TEXTS}"
        raise InvalidArgument("BATCH_TOO_LARGE", "texts", rule)


def _check_attributes(attributes: Mapping[str, str]) -> None:
    if len(attributes) > MAX_ATTRIBUTES:
        rule = f"has {len(attributes)} entries; the limit is {MAX_ATTRIBUTES}"
        raise InvalidArgument("TOO_MANY_ATTRIBUTES", "attributes", rule)
    for name, value in attributes.items():
        check_words("attributes", name, MAX_KEY_LENGTH)
        check_words(f"attributes[{name}]", value, MAX_KEY_LENGTH)


def _violation(text: str, index: int, limit: int) -> InvalidArgument | None:
    try:
        check_text(f"texts[{index}]", text, limit)
    except InvalidArgument as error:
        # A traceback has the frames that hold the error: a cycle, which keeps the texts in memory.
        return error.with_traceback(None)
    return None
