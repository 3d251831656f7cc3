"""The client for threads: methods for everyday calls beside every service's stub."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Self

from tidemill.v1.prediction_service_pb2 import StreamPredictRequest
from tidemill_client.connection import (
    DEFAULT_ADDRESS,
    DEFAULT_KEEPALIVE_SECONDS,
    DEFAULT_TIMEOUT_SECONDS,
    Tls,
    connection,
    seconds,
)
from tidemill_client.errors import TidemillError, translated_errors
from tidemill_client.many import Progress, ask_all
from tidemill_client.requests import batch_request, feedback_request, predict_request, sendable
from tidemill_client.results import (
    Feedback,
    Prediction,
    batch_results,
    feedback_of,
    prediction_of,
    result_of,
)
from tidemill_client.stubs import Stubs
from tidemill_client.window import Question, Window


class TidemillClient(Stubs):
    """A connection to one Tidemill server. Safe to share between threads.

    Reads, predictions and verdicts that meet a server that is away or overloaded are sent again by
    gRPC, up to five times in all and within their timeout.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        api_key: str | None = None,
        tls: bool | Tls = False,
        insecure: bool = False,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        keepalive_seconds: float = DEFAULT_KEEPALIVE_SECONDS,
    ) -> None:
        """Make a client; it connects at the first call.

        Args:
            address: host:port of the server.
            api_key: an API key or a token; goes with every call.
            tls: whether the connection is encrypted; a `Tls` names the certificates.
            insecure: let the API key travel in clear to another machine.
            timeout: seconds that each of this class's calls may take, infinity included; a call can
                have its own.
            keepalive_seconds: a connection with calls under way is tested when nothing came for
                so long.

        Raises:
            ValueError: the API key would travel in clear, or is none; or a time is negative.
            OSError: a certificate's file cannot be read.
        """
        wanted = connection(
            address,
            api_key=api_key,
            tls=tls,
            insecure=insecure,
            keepalive_seconds=keepalive_seconds,
        )
        super().__init__(wanted)
        self._timeout = seconds("timeout", timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls that are under way are cancelled."""
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
        timeout: float | None = None,
    ) -> Prediction:
        """Predict the label of one text.

        Args:
            task: the task to ask.
            text: the text; not blank, no longer than the task's limit.
            top_k: how many scores to return, best first.
            model_version: the version to ask; 0 lets the router choose.
            request_id: correlates the prediction with your records.
            routing_key: equal keys are kept on one side of a canary.
            attributes: written down with the prediction, for reports by slice.
            timeout: seconds; None takes the client's.

        Raises:
            TidemillError: there is no answer; its class and `reason` say why.
        """
        request = predict_request(
            task, text, top_k, model_version, request_id, routing_key, attributes
        )
        with translated_errors(request_id):
            response = self.predictions.Predict(request, timeout=self._seconds(timeout))
        return prediction_of(response.prediction)

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
        """Predict the labels of up to 1,024 texts; the other arguments are as in `predict`.

        Returns:
            One result a text, in their order. A text that cannot be answered has an error in
            its place; the others are not affected.

        Raises:
            TidemillError: none could be answered; its class and `reason` say why.
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

        After a lost connection, what was not answered is asked again; so is, up to five times in
        all, a text that met a server that was away or overloaded.

        Args:
            texts: never read further ahead of the results than `window`.
            task: the task to ask.
            window: texts that may be under way; the server takes up to 256 of a stream at once.
            top_k: as in `predict`.
            model_version: as in `predict`.
            routing_key: as in `predict`.
            attributes: as in `predict`.
            timeout: seconds to wait for any answer before giving up; None takes the client's.
            progress: called with the number of results so far, at each.

        Yields:
            One result a text, in their order; an error in the place of one that cannot be answered.

        Raises:
            ValueError: `window` is less than 1.
            TidemillError: the server refuses the stream, or was silent for too long.
        """
        question = Question(task, top_k, model_version, routing_key, attributes)
        bounded = Window(question, window)
        return ask_all(
            self.predictions.StreamPredict, texts, bounded, self._seconds(timeout), progress
        )

    def predict_stream(
        self, requests: Iterable[StreamPredictRequest]
    ) -> Iterator[tuple[str, Prediction | TidemillError]]:
        """Predict for as long as `requests` lasts, without waiting for one answer to ask again.

        For requests that differ in more than their text; a stream that breaks is not resumed.

        Args:
            requests: read by another thread, as fast as the server takes them.

        Yields:
            Each request's id and its answer, in their order.

        Raises:
            TidemillError: the stream broke; an item's own error does not break it.
        """
        errors: dict[int, TidemillError] = {}
        with translated_errors():
            stream = self.predictions.StreamPredict(sendable(requests, errors))
            try:
                for number, response in enumerate(stream):
                    yield response.id, errors.get(number) or result_of(response, response.id)
            finally:  # the caller may stop listening before the end
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
        """Say whether a prediction is right, or which label is. Once it returns it is durable.

        Args:
            prediction_id: from the prediction.
            correct: whether the predicted label is right.
            label: the right label; give this or `correct`.
            source: who says so.
            comment: their words.
            text: what was predicted, for tasks that do not keep texts.
            request_id: makes repeating safe: the same id gets the first answer again.
            timeout: seconds; None takes the client's.

        Raises:
            ValueError: neither or both of `correct` and `label` are given.
            TidemillError: it was not stored; its class and `reason` say why.
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

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else seconds("timeout", timeout)
