"""The client for threads: methods for everyday calls, and the stubs of all services."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Self

from tidemill.v1.prediction_service_pb2 import StreamPredictRequest
from tidemill_client.errors import TidemillError, translated_errors
from tidemill_client.many import Progress, ask_all
from tidemill_client.requests import (
    batch_request,
    feedback_request,
    predict_request,
)
from tidemill_client.results import (
    Feedback,
    Prediction,
    batch_results,
    feedback_of,
    prediction_of,
    result_of,
)
from tidemill_client.stream_requests import StreamErrors, sendable
from tidemill_client.stubs import Stubs
from tidemill_client.window import Question, Window


class TidemillClient(Stubs):
    """A connection to one Tidemill server. Threads can share it.

    If the server is unavailable or overloaded, gRPC retries reads, predictions and verdicts within
    their timeout, up to five attempts in all.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, and cancel open calls."""
        self._channel.close()

    def predict(
        self,
        task: str,
        text: str,
        *,
        top_k: int = 1,
        model_version: int = 0,
        request_id: str = "",
        routing_key: str = "",
        attributes: Mapping[str, str] | None = None,
        response: str = "",
        timeout: float | None = None,
    ) -> Prediction:
        """Predict the label of one text.

        Args:
            task: the task.
            text: the text; not blank, and not longer than the task's limit.
            top_k: how many scores to return, best first.
            model_version: the version that answers; 0 lets the router choose.
            request_id: an id that links the prediction to your records.
            routing_key: the same key always gets the same version in a canary release.
            attributes: stored with the prediction, for reports by slice.
            response: the answer to rate, in a task of the kind preference; `text` is its prompt.
            timeout: seconds; None for the client's timeout.

        Raises:
            TidemillError: there is no answer; its class and `reason` say why.
        """
        request = predict_request(
            task, text, top_k, model_version, request_id, routing_key, attributes, response
        )
        with translated_errors(request_id):
            answer = self.predictions.Predict(request, timeout=self._seconds(timeout))
        return prediction_of(answer.prediction)

    def predict_batch(
        self,
        task: str,
        texts: Iterable[str],
        *,
        top_k: int = 1,
        model_version: int = 0,
        request_id: str = "",
        timeout: float | None = None,
    ) -> list[Prediction | TidemillError]:
        """Predict the labels of up to 1,024 texts; for the other arguments, see `predict`.

        Returns:
            One result per text, in order. A text that cannot be answered has an error in its
            place; the others are not affected.

        Raises:
            TidemillError: no text could be answered; its class and `reason` say why.
        """
        request, errors = batch_request(task, texts, top_k, model_version, request_id)
        with translated_errors(request_id):
            response = self.predictions.BatchPredict(request, timeout=self._seconds(timeout))
        return batch_results(response.results, errors, request_id)

    def predict_many(
        self,
        texts: Iterable[str],
        *,
        task: str,
        window: int = 256,
        top_k: int = 1,
        model_version: int = 0,
        routing_key: str = "",
        attributes: Mapping[str, str] | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Prediction | TidemillError]:
        """Predict the labels of any number of texts.

        After a lost connection, unanswered texts are sent again. A text that fails because the
        server is unavailable or overloaded is sent up to five times in all.

        Args:
            texts: the texts; at most `window` are read ahead of the results.
            task: the task.
            window: how many texts may be open; the server works on up to 256 of a stream at once.
            top_k: see `predict`.
            model_version: see `predict`.
            routing_key: see `predict`.
            attributes: see `predict`.
            timeout: seconds to wait for the next answer; None for the client's timeout.
            progress: called after each result with the number of results so far.

        Yields:
            One result per text, in order; an error in the place of a text without an answer.

        Raises:
            ValueError: `window` is less than 1.
            TidemillError: the server refuses the stream, or sent nothing for too long.
        """
        question = Question(task, top_k, model_version, routing_key, attributes)
        bounded = Window(question, window)
        return ask_all(
            self.predictions.StreamPredict, texts, bounded, self._seconds(timeout), progress
        )

    def predict_stream(
        self, requests: Iterable[StreamPredictRequest]
    ) -> Iterator[tuple[str, Prediction | TidemillError]]:
        """Predict over one stream, without waiting for an answer before the next request.

        Use it for requests that differ in more than their text. A broken stream is not resumed.

        Args:
            requests: the requests; another thread reads them, as fast as the server accepts them.

        Yields:
            The id of each request and its answer, in order.

        Raises:
            TidemillError: the stream broke; the error of one item does not break it.
            Exception: any error of `requests`, after the answers to those before it.
        """
        errors = StreamErrors()
        with translated_errors():
            stream = self.predictions.StreamPredict(sendable(requests, errors))
            try:
                for number, response in enumerate(stream):
                    yield (
                        response.id,
                        errors.of_items.get(number) or result_of(response, response.id),
                    )
                errors.raise_end()
            finally:  # the caller may stop before the end
                stream.cancel()

    def submit_feedback(
        self,
        prediction_id: str,
        *,
        correct: bool | None = None,
        label: str | None = None,
        source: str = "",
        comment: str = "",
        text: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> Feedback:
        """Say whether a prediction is right, or which label is right.

        The verdict is durable when the method returns.

        Args:
            prediction_id: the id of the prediction.
            correct: whether the predicted label is right.
            label: the right label; give either this or `correct`.
            source: who says so.
            comment: a comment of that person.
            text: the predicted text, for tasks that do not store texts.
            request_id: makes repetition safe: the same id gets the first answer again.
            timeout: seconds; None for the client's timeout.

        Raises:
            ValueError: neither or both of `correct` and `label` are given.
            TidemillError: the verdict was not stored; its class and `reason` say why.
        """
        request = feedback_request(
            prediction_id,
            correct=correct,
            label=label,
            source=source,
            comment=comment,
            text=text,
            request_id=request_id,
        )
        with translated_errors(request_id):
            response = self.feedback.SubmitFeedback(request, timeout=self._seconds(timeout))
        return feedback_of(response.feedback)
