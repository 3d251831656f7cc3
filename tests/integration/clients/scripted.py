"""A gRPC server that answers as a test wants, with failures that the real front seldom has."""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from tidemill.v1 import feedback_service_pb2 as feedback_pb
from tidemill.v1 import feedback_service_pb2_grpc as feedback_grpc
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill.v1 import prediction_service_pb2_grpc as prediction_grpc

_ANY_ANSWER = [("grpc.max_send_message_length", -1)]
BIG = "answer with 21 MiB"
"""A text whose label is over the client's limit on messages."""


def status(code: grpc.StatusCode, retry_seconds: float | None = None) -> status_pb2.Status:
    """Return a refusal with the reason SCRIPTED."""
    found = status_pb2.Status(code=code.value[0], message="as the test wants")
    found.details.add().Pack(error_details_pb2.ErrorInfo(reason="SCRIPTED", domain="tidemill"))
    if retry_seconds is not None:
        delay = Duration(nanos=int(retry_seconds * 1e9))
        found.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return found


class ScriptedServer(prediction_grpc.PredictionServiceServicer):
    """A server that labels every text with itself, unless scripted; a context manager.

    Args:
        credentials: the credentials for TLS.
        max_message_bytes: the limit on messages that it accepts.

    Attributes:
        refusals: the refusals of the next calls.
        item_errors: the errors of the next items of streams.
        metadata: the metadata of each accepted call.
        asked: the texts sent over streams, including repeated ones.
        answering: streams get answers only while it is set.
        answers_a_stream: the numbers of answers after which the next streams end, as when a
            server dies.
    """

    def __init__(
        self,
        credentials: grpc.ServerCredentials | None = None,
        max_message_bytes: int = 20 * 1024 * 1024,
    ) -> None:
        self._options = [("grpc.max_receive_message_length", max_message_bytes)]
        self.refusals: deque[tuple[status_pb2.Status, tuple[tuple[str, str], ...]]] = deque()
        self.item_errors: deque[status_pb2.Status] = deque()
        self.metadata: list[dict[str, str]] = []
        self.asked: list[str] = []
        self.answering = threading.Event()
        self.answering.set()
        self.answers_a_stream: deque[int] = deque()
        self.calls = 0
        self._credentials = credentials
        self.port = 0

    def __enter__(self) -> "ScriptedServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = grpc.server(ThreadPoolExecutor(8), options=[*self._options, *_ANY_ANSWER])
        prediction_grpc.add_PredictionServiceServicer_to_server(self, self._server)
        feedback_grpc.add_FeedbackServiceServicer_to_server(_Feedback(self), self._server)
        wanted = f"127.0.0.1:{self.port}"
        if self._credentials is None:
            self.port = self._server.add_insecure_port(wanted)
        else:
            self.port = self._server.add_secure_port(wanted, self._credentials)
        self._server.start()

    def stop(self) -> None:
        """End immediately and cut off open calls."""
        self._server.stop(0).wait()

    def let_in(self, context: Any) -> None:
        """Record a call, or refuse it."""
        self.calls += 1
        if self.refusals:
            _refuse(context, *self.refusals.popleft())
        self.metadata.append(dict(context.invocation_metadata()))

    def Predict(self, request: pb.PredictRequest, context: Any) -> pb.PredictResponse:  # noqa: N802 -- gRPC names it
        """Answer one text."""
        self.let_in(context)
        self.answering.wait(60)
        return pb.PredictResponse(prediction=_prediction(request.text))

    def BatchPredict(  # noqa: N802 -- gRPC's name
        self, request: pb.BatchPredictRequest, context: Any
    ) -> pb.BatchPredictResponse:
        """Answer several texts; refuse an empty one."""
        self.let_in(context)
        error = status(grpc.StatusCode.INVALID_ARGUMENT)
        results = [
            pb.BatchPredictResult(prediction=_prediction(text))
            if text
            else pb.BatchPredictResult(error=error)
            for text in request.texts
        ]
        return pb.BatchPredictResponse(results=results)

    def StreamPredict(  # noqa: N802 -- gRPC's name
        self, request_iterator: Iterator[pb.StreamPredictRequest], context: Any
    ) -> Iterator[pb.StreamPredictResponse]:
        """Answer each text."""
        self.let_in(context)
        limit = self.answers_a_stream.popleft() if self.answers_a_stream else -1
        for number, request in enumerate(request_iterator):
            if number == limit:
                context.abort(grpc.StatusCode.UNAVAILABLE, "dying")
            self.asked.append(request.text)
            while not self.answering.wait(0.05):
                if not context.is_active():
                    return
            if self.item_errors:
                yield pb.StreamPredictResponse(id=request.id, error=self.item_errors.popleft())
            else:
                yield pb.StreamPredictResponse(id=request.id, prediction=_prediction(request.text))


class _Feedback(feedback_grpc.FeedbackServiceServicer):
    def __init__(self, server: ScriptedServer) -> None:
        self._server = server

    def SubmitFeedback(  # noqa: N802 -- gRPC's name
        self, request: feedback_pb.SubmitFeedbackRequest, context: Any
    ) -> feedback_pb.SubmitFeedbackResponse:
        self._server.let_in(context)
        stored = feedback_pb.Feedback(feedback_id="1", prediction_id=request.prediction_id)
        return feedback_pb.SubmitFeedbackResponse(feedback=stored)

    def StreamFeedback(  # noqa: N802 -- gRPC's name
        self, request_iterator: Iterator[feedback_pb.StreamFeedbackRequest], context: Any
    ) -> feedback_pb.StreamFeedbackResponse:
        self._server.let_in(context)
        return feedback_pb.StreamFeedbackResponse(accepted_count=len(list(request_iterator)))


def _prediction(text: str) -> pb.Prediction:
    if text == BIG:
        return pb.Prediction(label="x" * (21 * 1024 * 1024))
    return pb.Prediction(prediction_id="p", label=text, scores=[pb.Score(label=text, score=1.0)])


def _refuse(
    context: Any, refusal: status_pb2.Status, metadata: tuple[tuple[str, str], ...]
) -> NoReturn:
    codes = {code.value[0]: code for code in grpc.StatusCode}
    details = ("grpc-status-details-bin", refusal.SerializeToString())
    context.set_trailing_metadata((details, *metadata))
    context.abort(codes[refusal.code], refusal.message)
    raise AssertionError
