"""The Open Inference Protocol (`inference.GRPCInferenceService`), passed through to Triton.

What was checked is what is sent: requests are decoded and encoded anew. Triton's answers pass as
the bytes that they are. A caller's metadata stays here, for Triton takes control keys from it.

A stream's requests are unary calls to Triton: Triton 2.51 never unloads a model of which a stream
was cancelled with requests in flight, and a cancelled unary call leaves nothing behind.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, NoReturn

import grpc
import grpc.aio
from tritonclient.grpc import service_pb2 as pb

from tidemill_core.domain.model import model_name
from tidemill_core.errors import (
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    TidemillError,
    TritonUnavailable,
)
from tidemill_core.model_repository import MODEL_FILES
from tidemill_core.triton import calls
from tidemill_server.inference.admission import Admission
from tidemill_server.inference.query import MAX_KEY_LENGTH, check_words
from tidemill_server.services.deadline import DEFAULT_SECONDS, deadline_of
from tidemill_server.services.inference_checks import check_infer, rows_of
from tidemill_server.services.pipeline import pipelined
from tidemill_server.services.stream_windows import StreamWindows
from tidemill_server.status import PassedOn

_SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
_OF_THE_SERVER = ("ServerLive", "ServerReady", "ServerMetadata")
_OF_A_MODEL = ("ModelReady", "ModelMetadata", "ModelConfig")
_MAX_MESSAGE_LENGTH = 1000
"""Characters of Triton's words: they travel as metadata, for which there is little room."""
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""CANCELLED is Triton ending: a call that its caller cancelled has nobody left to tell."""
_MODEL_COMES_OR_GOES = "is not at ready state"
"""What Triton says, with the code UNAVAILABLE, of one model while it is there itself."""
_STUB_DIED = "is not healthy"
"""What it says, with the code INTERNAL, of a model whose process died."""

Context = Any
Behaviour = Callable[[Any, Context], Awaitable[bytes]]


def _passed_on(code: grpc.StatusCode, message: str) -> PassedOn:
    if code is grpc.StatusCode.UNKNOWN:  # Triton's word for input that it cannot place
        code = grpc.StatusCode.INVALID_ARGUMENT
    return PassedOn(code, f"TRITON_{code.name}", message[:_MAX_MESSAGE_LENGTH])


class InferenceProtocol:
    """Answers for the models of Tidemill's tasks; every other model does not exist.

    Args:
        triton_address: `host:port` of Triton's gRPC.
        admissions: how much each task lets in, by the task's name.
        windows: bound what streams hold.
    """

    def __init__(
        self, triton_address: str, admissions: Mapping[str, Admission], windows: StreamWindows
    ) -> None:
        self._address = triton_address
        self._windows = windows
        self._channel = grpc.aio.insecure_channel(triton_address, options=calls.CHANNEL_OPTIONS)
        self._admissions = admissions
        self._models = {model_name(t, form): t for t in admissions for form in MODEL_FILES}
        self._infer_call: Any = self._channel.unary_unary(_path("ModelInfer"), _encode)
        self._infer = self._passed("ModelInfer", _no_check)
        self._all_statistics = self._passed("ModelStatistics", self._check_if_named)

    def handlers(self) -> tuple[str, dict[str, Any]]:
        """The service and all its methods, for `Server.add_registered_method_handlers`."""
        behaviours: dict[str, Behaviour] = {
            **{name: self._passed(name, _no_check) for name in _OF_THE_SERVER},
            **{name: self._passed(name, self._check_model) for name in _OF_A_MODEL},
            "ModelInfer": self._model_infer,
            "ModelStatistics": self._statistics,
        }
        handlers: dict[str, Any] = {
            method.name: grpc.unary_unary_rpc_method_handler(_not_exposed)
            for method in _SERVICE.methods
        }
        for name, behaviour in behaviours.items():
            request = getattr(pb, _SERVICE.methods_by_name[name].input_type.name)
            handlers[name] = grpc.unary_unary_rpc_method_handler(behaviour, request.FromString)
        handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
            self._stream_infer, pb.ModelInferRequest.FromString
        )
        return _SERVICE.full_name, handlers

    async def close(self) -> None:
        """Close the connection to Triton; calls in flight are cancelled."""
        await self._channel.close()

    async def _model_infer(self, request: pb.ModelInferRequest, context: Context) -> bytes:
        """Inference, let in like a unary prediction of as many texts."""
        self._check_infer(request)
        admission, rows = self._admission(request), rows_of(request)
        admission.enter(rows)
        try:
            return await self._infer(request, context)
        finally:
            admission.leave(rows)

    def _passed(self, method: str, check: Callable[[Any], None]) -> Behaviour:
        """A unary method that Triton answers."""
        call: Any = self._channel.unary_unary(_path(method), _encode)

        async def behaviour(request: Any, context: Context) -> bytes:
            check(request)
            seconds = deadline_of(context) - asyncio.get_running_loop().time()
            return await self._ask(call, request, seconds)

        return behaviour

    async def _statistics(self, request: pb.ModelStatisticsRequest, context: Context) -> bytes:
        """Statistics of one model, or of all that are ours."""
        answer = pb.ModelStatisticsResponse.FromString(await self._all_statistics(request, context))
        ours = [model for model in answer.model_stats if model.name in self._models]
        return bytes(pb.ModelStatisticsResponse(model_stats=ours).SerializeToString())

    async def _stream_infer(
        self, requests: AsyncIterator[pb.ModelInferRequest], context: Context
    ) -> AsyncIterator[bytes]:
        """Answer in the order of the requests; a refused one has an `error_message` of its own."""
        with self._windows.opened() as window:
            answers = pipelined(requests, partial(self._stream_answer, context), window)
            async with aclosing(answers):
                async for answer in answers:
                    yield answer

    async def _stream_answer(
        self, context: Context, request: pb.ModelInferRequest
    ) -> bytes | Exception:
        left = deadline_of(context) - asyncio.get_running_loop().time()
        seconds = min(left, DEFAULT_SECONDS)
        answer = pb.ModelStreamInferResponse()
        try:
            self._check_infer(request)
            found = await self._once_let_in(request, seconds)
            answer.infer_response.ParseFromString(found)
        except DeadlineExceeded as error:
            return TritonUnavailable(self._address, f"on a stream: {error}")
        except TritonUnavailable as error:
            return error
        except TidemillError as error:
            answer.error_message = str(error)
            answer.infer_response.id = request.id[:MAX_KEY_LENGTH]
        return _encode(answer)

    async def _once_let_in(self, request: pb.ModelInferRequest, seconds: float) -> bytes:
        """Triton's answer; as `_ask`, and ResourceExhausted when too many wait already."""
        admission, rows = self._admission(request), rows_of(request)
        deadline = asyncio.get_running_loop().time() + seconds
        await admission.wait(rows, deadline)
        try:
            left = deadline - asyncio.get_running_loop().time()
            return await self._ask(self._infer_call, request, left)
        finally:
            admission.leave(rows)

    def _admission(self, request: pb.ModelInferRequest) -> Admission:
        return self._admissions[self._models[request.model_name]]

    async def _ask(self, call: Any, request: Any, seconds: float) -> bytes:
        """Triton's answer.

        Raises:
            PassedOn: what Triton says of the request.
            DeadlineExceeded: no answer in time.
            TritonUnavailable: no connection.
        """
        try:
            return bytes(await call(request, timeout=seconds))
        except grpc.aio.AioRpcError as error:
            code, message = calls.status(error)
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise DeadlineExceeded(seconds) from error
            if _is_away(code, message):
                raise TritonUnavailable(self._address, message) from error
            raise _passed_on(code, message) from error

    def _check_model(self, request: Any) -> None:
        self._check_visible(request.name)
        check_words("version", request.version, MAX_KEY_LENGTH)

    def _check_if_named(self, request: pb.ModelStatisticsRequest) -> None:
        if request.name:
            self._check_visible(request.name)
        check_words("version", request.version, MAX_KEY_LENGTH)

    def _check_infer(self, request: pb.ModelInferRequest) -> None:
        self._check_visible(request.model_name)
        check_infer(request)

    def _check_visible(self, name: str) -> None:
        if name not in self._models:
            raise NotFound("model", name[:MAX_KEY_LENGTH])


def _is_away(code: grpc.StatusCode, message: str) -> bool:
    if _MODEL_COMES_OR_GOES in message:
        return False
    return code in _AWAY or _STUB_DIED in message


def _path(method: str) -> str:
    return f"/{_SERVICE.full_name}/{method}"


def _encode(request: Any) -> bytes:
    return bytes(request.SerializeToString())


def _no_check(_request: object) -> None:
    pass


async def _not_exposed(_request: bytes, _context: Context) -> NoReturn:
    message = "this method of Triton is not for callers; see docs/inference-protocol.md"
    raise PermissionDenied("NOT_EXPOSED", message)
