"""The Open Inference Protocol (`inference.GRPCInferenceService`), passed through to Triton.

Requests are decoded, checked and encoded again, so Triton gets exactly the checked content. Its
answers are passed on as bytes. A caller's metadata is not, because Triton reads control keys in it.

The requests of a stream become unary calls to Triton. An inference goes on when its caller is gone,
and keeps its room in admission until it ends; `pace.CALL_SECONDS` says why.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, NoReturn

import structlog
from tritonclient.grpc import service_pb2 as pb

from tidemill_core.domain.model import MODEL_FILES, model_name
from tidemill_core.errors import (
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    TidemillError,
    TritonUnavailable,
)
from tidemill_server.handlers.fields import MAX_KEY_LENGTH, check_words
from tidemill_server.inference.admission import Admission, Overloaded, TaskAdmission
from tidemill_server.inference.pace import CALL_SECONDS, Pace, ended
from tidemill_server.rpc.call import Call
from tidemill_server.rpc.methods import Behavior
from tidemill_server.services.deadline import deadline_of, item_deadline_of
from tidemill_server.services.inference_checks import check_infer, rows_of
from tidemill_server.services.pipeline import StreamWindows, pipelined
from tidemill_server.services.triton_calls import SERVICE, TritonCalls
from tidemill_server.telemetry.metrics import Metrics

_OF_THE_SERVER = ("ServerLive", "ServerReady", "ServerMetadata")
_OF_A_MODEL = ("ModelReady", "ModelMetadata", "ModelConfig")

log = structlog.get_logger()


class InferenceProtocol:
    """The protocol for the models of Tidemill's tasks; callers see no other models.

    Args:
        triton_target: Triton's address, or several; see `addresses.named`.
        admissions: the admission of each task, by the task's name.
        windows: bounds the requests in flight on streams.
        metrics: observes Triton calls and counts refusals.
    """

    def __init__(
        self,
        triton_target: str,
        admissions: Mapping[str, TaskAdmission],
        windows: StreamWindows,
        metrics: Metrics,
    ) -> None:
        self._triton = TritonCalls(triton_target)
        self._admissions = admissions
        self._windows = windows
        self._metrics = metrics
        self._models = {model_name(t, form): t for t in admissions for form in MODEL_FILES}
        self._paces = {name: Pace() for name in self._models}
        self._calls: set[asyncio.Task[bytes]] = set()

    def behaviors(self) -> dict[str, Behavior]:
        """Return a behavior for each method of the service."""
        return {
            **{method.name: _not_exposed for method in SERVICE.methods},
            **{name: self._passed(name, _no_check) for name in _OF_THE_SERVER},
            **{name: self._passed(name, self._check_model) for name in _OF_A_MODEL},
            "ModelInfer": self._model_infer,
            "ModelStatistics": self._statistics,
            "ModelStreamInfer": self._stream_infer,
        }

    async def close(self) -> None:
        """Close the connection to Triton, after a moment for the calls in flight."""
        await ended(self._calls)
        await self._triton.close()

    def _passed(self, method: str, check: Callable[[Any], None]) -> Behavior:
        """Return a unary method that Triton answers."""

        async def behavior(request: Any, call: Call) -> bytes:
            check(request)
            return await self._triton.ask(method, request, _seconds_to(deadline_of(call)))

        return behavior

    async def _statistics(self, request: pb.ModelStatisticsRequest, call: Call) -> bytes:
        """Return the statistics of one model, or of all models of Tidemill's tasks."""
        if request.name:
            self._check_visible(request.name)
        check_words("version", request.version, MAX_KEY_LENGTH)
        answer, seconds = pb.ModelStatisticsResponse(), _seconds_to(deadline_of(call))
        await self._triton.ask("ModelStatistics", request, seconds, answer)
        ours = [model for model in answer.model_stats if model.name in self._models]
        return bytes(pb.ModelStatisticsResponse(model_stats=ours).SerializeToString())

    async def _model_infer(self, request: pb.ModelInferRequest, call: Call) -> bytes:
        """Infer, admitted like a unary prediction of the same number of texts."""
        self._check_infer(request)
        task, rows = self._models[request.model_name], rows_of(request)
        deadline, admission = deadline_of(call), self._admissions[task].unary
        try:
            self._paces[request.model_name].refuse_late(1, _seconds_to(deadline))
            admission.enter(rows)
        except ResourceExhausted as error:
            self._metrics.shed(task, error.reason).inc()
            raise
        return await self._infer(request, deadline, pb.ModelInferResponse(), admission)

    def _stream_infer(
        self, requests: AsyncIterator[pb.ModelInferRequest], call: Call
    ) -> AsyncIterator[bytes]:
        """Answer in the order of the requests; a refused request gets an `error_message`."""
        return pipelined(requests, partial(self._stream_answer, call), self._windows)

    async def _stream_answer(self, call: Call, request: pb.ModelInferRequest) -> bytes | Exception:
        deadline = item_deadline_of(call)
        answer = pb.ModelStreamInferResponse()
        try:
            self._check_infer(request)
            await self._infer_on_stream(request, deadline, answer.infer_response)
        except DeadlineExceeded as error:
            return TritonUnavailable(self._triton.target, f"on a stream: {error}")
        except TritonUnavailable as error:
            return error
        except TidemillError as error:
            answer.Clear()
            answer.error_message = str(error)
            answer.infer_response.id = request.id[:MAX_KEY_LENGTH]
        return bytes(answer.SerializeToString())

    async def _infer_on_stream(
        self, request: pb.ModelInferRequest, deadline: float, answer: pb.ModelInferResponse
    ) -> None:
        """Infer, admitted like a prediction of the same number of texts on a stream."""
        task, rows = self._models[request.model_name], rows_of(request)
        admission = self._admissions[task].patient
        try:
            self._paces[request.model_name].refuse_late(1, _seconds_to(deadline))
            await admission.wait(rows, deadline)
        except ResourceExhausted as error:
            self._metrics.shed(task, error.reason).inc()
            raise
        except DeadlineExceeded as error:  # while waiting for admission: Triton was not called
            self._metrics.shed(task, Overloaded.reason).inc()
            raise Overloaded(str(error)) from error
        await self._infer(request, deadline, answer, admission)

    async def _infer(
        self,
        request: pb.ModelInferRequest,
        deadline: float,
        answer: pb.ModelInferResponse,
        admission: Admission,
    ) -> bytes:
        """Call Triton for an admitted request, which leaves when the call has ended."""

        def leave(call: asyncio.Task[bytes]) -> None:
            self._calls.discard(call)
            admission.leave(rows_of(request))

        call = asyncio.create_task(self._call(request, deadline, answer, admission))
        self._calls.add(call)
        call.add_done_callback(leave)
        seconds = _seconds_to(deadline)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(call)
        except TimeoutError as error:
            raise DeadlineExceeded(seconds) from error
        finally:
            if not call.done():  # nothing else asks for its error
                call.add_done_callback(_report)

    async def _call(
        self,
        request: pb.ModelInferRequest,
        deadline: float,
        answer: pb.ModelInferResponse,
        admission: Admission,
    ) -> bytes:
        """Call Triton, and report its times to admission."""
        clock, pace = asyncio.get_running_loop().time, self._paces[request.model_name]
        begin = clock()
        pace.in_flight += 1
        try:
            seconds = max(CALL_SECONDS, deadline - begin)
            found = await self._triton.ask("ModelInfer", request, seconds, answer)
        finally:
            seconds = clock() - begin
            pace.in_flight -= 1
            pace.took(seconds)
        task = self._models[request.model_name]
        # No queue here: all the time is Triton's, which is not a sign of overload.
        admission.observe(rows_of(request), 0.0, seconds, begin + seconds)
        version = answer.model_version  # the request may leave the choice to Triton
        self._metrics.triton(task, int(version) if version.isdecimal() else 0).observe(seconds)
        return found

    def _check_model(self, request: Any) -> None:
        self._check_visible(request.name)
        check_words("version", request.version, MAX_KEY_LENGTH)

    def _check_infer(self, request: pb.ModelInferRequest) -> None:
        self._check_visible(request.model_name)
        check_infer(request)

    def _check_visible(self, name: str) -> None:
        if name not in self._models:
            raise NotFound("model", name[:MAX_KEY_LENGTH])


def _report(call: asyncio.Task[bytes]) -> None:
    error = None if call.cancelled() else call.exception()
    if error is not None and not isinstance(error, TidemillError):
        log.error("unexpected_error", method="ModelInfer", exc_info=error)


def _seconds_to(deadline: float) -> float:
    return deadline - asyncio.get_running_loop().time()


def _no_check(_request: object) -> None:
    pass


async def _not_exposed(_request: object, _call: Call) -> NoReturn:
    message = "callers cannot use this Triton method; see docs/inference-protocol.md"
    raise PermissionDenied("NOT_EXPOSED", message)
