"""The Open Inference Protocol (`inference.GRPCInferenceService`), passed through to Triton.

What was checked is what is sent: requests are decoded and encoded anew. Triton's answers pass as
the bytes that they are. A caller's metadata stays here, for Triton takes control keys from it.

A stream's requests are unary calls to Triton: Triton 2.51 never unloads a model of which a stream
was cancelled with requests in flight, and a cancelled unary call leaves nothing behind.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2
from tritonclient.grpc import service_pb2 as pb

from tidemill_core.domain.model import model_name
from tidemill_core.errors import DeadlineExceeded, NotFound, TidemillError, TritonUnavailable
from tidemill_core.model_repository import MODEL_FILES
from tidemill_core.triton import calls
from tidemill_server.inference.query import MAX_KEY_LENGTH, check_words
from tidemill_server.services.deadline import DEFAULT_SECONDS, deadline_of
from tidemill_server.services.inference_checks import check_infer
from tidemill_server.services.pipeline import pipelined
from tidemill_server.status import DETAILS_KEY, DOMAIN

STREAM_WINDOW = 64
"""Requests of one stream that are under way at a time; a faster caller is held back."""

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


class TritonRefused(TidemillError):
    """Triton's own error, as it is passed on."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message[:_MAX_MESSAGE_LENGTH])
        if code is grpc.StatusCode.UNKNOWN:  # Triton's word for input that it cannot place
            code = grpc.StatusCode.INVALID_ARGUMENT
        self.code = code
        self.reason = f"TRITON_{code.name}"


class InferenceProtocol:
    """Answers for the models of Tidemill's tasks; every other model does not exist.

    Args:
        triton_address: `host:port` of Triton's gRPC.
        tasks: names of the tasks.
    """

    def __init__(self, triton_address: str, tasks: Iterable[str]) -> None:
        self._address = triton_address
        self._channel = grpc.aio.insecure_channel(triton_address, options=calls.CHANNEL_OPTIONS)
        self._models = frozenset(model_name(t, form) for t in tasks for form in MODEL_FILES)
        self._infer: Any = self._channel.unary_unary(_path("ModelInfer"), _encode)
        self._all_statistics = self._passed("ModelStatistics", self._check_if_named)

    def handler(self) -> grpc.GenericRpcHandler:
        """All methods of the service, for `Server.add_generic_rpc_handlers`."""
        behaviours: dict[str, Behaviour] = {
            **{name: self._passed(name, _no_check) for name in _OF_THE_SERVER},
            **{name: self._passed(name, self._check_model) for name in _OF_A_MODEL},
            "ModelInfer": self._passed("ModelInfer", self._check_infer),
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
        return grpc.method_handlers_generic_handler(_SERVICE.full_name, handlers)

    async def close(self) -> None:
        """Close the connection to Triton; calls in flight are cancelled."""
        await self._channel.close()

    def _passed(self, method: str, check: Callable[[Any], None]) -> Behaviour:
        """A unary method that Triton answers."""
        call: Any = self._channel.unary_unary(_path(method), _encode)

        async def behaviour(request: Any, context: Context) -> bytes:
            check(request)
            seconds = deadline_of(context) - asyncio.get_running_loop().time()
            try:
                return await self._ask(call, request, seconds)
            except TritonRefused as error:
                await _refuse(context, error.code, error.reason, str(error))

        return behaviour

    async def _statistics(self, request: pb.ModelStatisticsRequest, context: Context) -> bytes:
        """Statistics of one model, or of all that are ours."""
        answer = pb.ModelStatisticsResponse.FromString(await self._all_statistics(request, context))
        ours = [model for model in answer.model_stats if model.name in self._models]
        return bytes(pb.ModelStatisticsResponse(model_stats=ours).SerializeToString())

    def _stream_infer(
        self, requests: AsyncIterator[pb.ModelInferRequest], context: Context
    ) -> AsyncIterator[bytes]:
        """Answer in the order of the requests; a refused one has an `error_message` of its own."""
        return pipelined(requests, partial(self._stream_answer, context), STREAM_WINDOW)

    async def _stream_answer(
        self, context: Context, request: pb.ModelInferRequest
    ) -> bytes | Exception:
        left = deadline_of(context) - asyncio.get_running_loop().time()
        seconds = min(left, DEFAULT_SECONDS)
        answer = pb.ModelStreamInferResponse()
        try:
            self._check_infer(request)
            answer.infer_response.ParseFromString(await self._ask(self._infer, request, seconds))
        except DeadlineExceeded as error:
            return TritonUnavailable(self._address, f"on a stream: {error}")
        except TritonUnavailable as error:
            return error
        except TidemillError as error:
            answer.error_message = str(error)
            answer.infer_response.id = request.id[:MAX_KEY_LENGTH]
        return _encode(answer)

    async def _ask(self, call: Any, request: Any, seconds: float) -> bytes:
        """Triton's answer.

        Raises:
            TritonRefused: what Triton says of the request.
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
            raise TritonRefused(code, message) from error

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


async def _not_exposed(_request: bytes, context: Context) -> NoReturn:
    message = "this method of Triton is not for callers; see docs/inference-protocol.md"
    await _refuse(context, grpc.StatusCode.PERMISSION_DENIED, "NOT_EXPOSED", message)


async def _refuse(context: Context, code: grpc.StatusCode, reason: str, message: str) -> NoReturn:
    status = status_pb2.Status(code=code.value[0], message=message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN))
    await context.abort(code, message, ((DETAILS_KEY, status.SerializeToString()),))
    raise grpc.aio.AbortError  # abort did; only the type checker cannot see it here
