"""The client: one channel, every service's stub, and methods for everyday calls."""

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health_pb2_grpc

from tidemill.v1 import (
    dataset_service_pb2_grpc,
    feedback_service_pb2_grpc,
    job_service_pb2_grpc,
    model_service_pb2_grpc,
    monitoring_service_pb2_grpc,
    prediction_service_pb2_grpc,
)
from tidemill.v1.feedback_service_pb2 import Feedback, SubmitFeedbackRequest
from tidemill.v1.prediction_service_pb2 import (
    BatchPredictRequest,
    BatchPredictResult,
    Prediction,
    PredictRequest,
    StreamPredictRequest,
    StreamPredictResponse,
)
from tidemill_client.errors import TidemillError, translated_errors

# Room for the largest batch: 1,024 texts of some thousand characters each.
_MAX_MESSAGE_BYTES = 32 * 1024 * 1024
# A server that was restarted is found again within seconds; gRPC's own limit is two minutes.
_MAX_RECONNECT_BACKOFF_MS = 2000


class TidemillClient:
    """A connection to one Tidemill server. Safe to share between threads.

    Attributes:
        predictions: stub of PredictionService.
        feedback: stub of FeedbackService.
        datasets: stub of DatasetService.
        models: stub of ModelService.
        monitoring: stub of MonitoringService.
        jobs: stub of JobService.
        health: stub of grpc.health.v1.Health; `tidemill.task.<task>` asks about one task.

    The stubs' own methods take generated messages and a timeout of their own, and raise
    grpc.RpcError; inside `translated_errors()` they raise TidemillError as well.
    """

    def __init__(self, address: str = "127.0.0.1:50051", timeout: float = 10.0) -> None:
        """Make a client; it connects at the first call.

        Args:
            address: host:port of the server.
            timeout: seconds that each of this class's calls may take; streams have no limit.
        """
        options = [
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_reconnect_backoff_ms", _MAX_RECONNECT_BACKOFF_MS),
        ]
        self._timeout = timeout
        self._channel = grpc.insecure_channel(address, options=options)
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self.feedback = feedback_service_pb2_grpc.FeedbackServiceStub(self._channel)
        self.datasets = dataset_service_pb2_grpc.DatasetServiceStub(self._channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self.monitoring = monitoring_service_pb2_grpc.MonitoringServiceStub(self._channel)
        self.jobs = job_service_pb2_grpc.JobServiceStub(self._channel)
        self.health = health_pb2_grpc.HealthStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
        routing_key: str = "",
        attributes: Mapping[str, str] | None = None,
    ) -> Prediction:
        """Predict the label of one text.

        Args:
            task: the task to ask.
            text: the text; not blank, no longer than the task's limit.
            top_k: how many scores to return, best first.
            model_version: the version to ask; 0 lets the router choose.
            routing_key: equal keys are kept on one side of a canary.
            attributes: written down with the prediction, for reports by slice.

        Raises:
            TidemillError: there is no answer; `reason` says why.
        """
        request = PredictRequest(
            task=task,
            text=text,
            top_k=top_k,
            model_version=model_version,
            routing_key=routing_key,
            attributes=attributes,
        )
        with translated_errors():
            return self.predictions.Predict(request, timeout=self._timeout).prediction

    def predict_batch(
        self, task: str, texts: Iterable[str], *, top_k: int = 1, model_version: int = 0
    ) -> list[Prediction | TidemillError]:
        """Predict the labels of up to 1,024 texts.

        Returns:
            One result a text, in their order. A text that cannot be answered has an error in
            its place; the others are not affected.

        Raises:
            TidemillError: none could be answered; `reason` says why.
        """
        request = BatchPredictRequest(
            task=task, texts=texts, top_k=top_k, model_version=model_version
        )
        with translated_errors():
            response = self.predictions.BatchPredict(request, timeout=self._timeout)
        return [_result(result) for result in response.results]

    def predict_stream(
        self, requests: Iterable[StreamPredictRequest]
    ) -> Iterator[tuple[str, Prediction | TidemillError]]:
        """Predict for as long as `requests` lasts, without waiting for one answer to ask again.

        Args:
            requests: read by another thread, as fast as the server takes them.

        Yields:
            Each request's id and its answer, in their order.

        Raises:
            TidemillError: the stream broke; an item's own error does not break it.
        """
        with translated_errors():
            stream = self.predictions.StreamPredict(iter(requests))
            try:
                for response in stream:
                    yield response.id, _result(response)
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
        request_id: str = "",
    ) -> Feedback:
        """Say whether a prediction is right, or which label is. Once it returns it is durable.

        Args:
            prediction_id: from the prediction.
            correct: whether the predicted label is right.
            label: the right label; give this or `correct`.
            source: who says so.
            comment: their words.
            request_id: makes repeating safe: the same id gets the first answer again.

        Raises:
            ValueError: neither or both of `correct` and `label` are given.
            TidemillError: it was not stored; `reason` says why.
        """
        if (correct is None) == (label is None):
            raise ValueError("give either correct or label")
        request = SubmitFeedbackRequest(
            prediction_id=prediction_id, source=source, comment=comment, request_id=request_id
        )
        if label is not None:
            request.label = label
        elif correct is not None:
            request.correct = correct
        with translated_errors():
            return self.feedback.SubmitFeedback(request, timeout=self._timeout).feedback


def _result(result: BatchPredictResult | StreamPredictResponse) -> Prediction | TidemillError:
    if result.WhichOneof("result") == "error":
        return TidemillError.from_status(result.error)
    return result.prediction
