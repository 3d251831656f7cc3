"""The Open Inference Protocol on the front's port, with NVIDIA's own clients."""

import queue
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_client
import tritonclient.grpc.aio as triton_client_aio
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException

from tests.integration.server.front import BOTH_TRANSPORTS, Front
from tests.integration.server.models import LENGTH, TinyModel, tokenizer_json
from tests.integration.server.refusal import refusal, words
from tests.plugins.triton import CONTROL_KEY, RunningTriton
from tests.plugins.waiting import wait_until
from tidemill_core.text import TextEncoder
from tidemill_core.triton.embedded import CONTROL_KEY_HEADER

pytestmark = BOTH_TRANSPORTS
MODEL = "support-onnx"
TEXTS = ["lost my card", "refund", "the password"]
EXPOSED = {
    "ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata", "ModelConfig",
    "ModelStatistics", "ModelInfer", "ModelStreamInfer",
}  # fmt: skip
SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
WITH_KEY = ((f"triton-grpc-protocol-{CONTROL_KEY_HEADER}", CONTROL_KEY),)


def token_ids(texts: list[str]) -> Any:
    """Return int32 [texts, LENGTH]."""
    return TextEncoder(tokenizer_json(), LENGTH).encode(texts)


def tensor(module: Any, texts: list[str]) -> Any:
    """Return the input as users of tritonclient make it."""
    ids = token_ids(texts)
    made = module.InferInput("input_ids", ids.shape, "INT32")
    made.set_data_from_numpy(ids)
    return made


def request(number: int = 0, texts: list[str] = TEXTS) -> pb.ModelInferRequest:
    """Return the raw message."""
    ids = token_ids(texts)
    made = pb.ModelInferRequest(model_name=MODEL, id=f"n{number}")
    made.inputs.add(name="input_ids", datatype="INT32", shape=ids.shape)
    made.raw_input_contents.append(ids.tobytes())
    return made


def probabilities(response: pb.ModelInferResponse) -> Any:
    """Return float32 [rows, labels]."""
    values = np.frombuffer(response.raw_output_contents[0], np.float32)
    return values.reshape(tuple(response.outputs[0].shape))


def stub(front: Front) -> Any:
    """Return raw calls on the front's channel."""
    return service_pb2_grpc.GRPCInferenceServiceStub(front.channel)


@pytest.fixture
def client(front: Front) -> Iterator[Any]:
    """Yield NVIDIA's blocking client."""
    with triton_client.InferenceServerClient(front.address) as made:
        yield made


def test_infer_answers_as_the_model_does_offline(client: Any) -> None:
    """`infer` returns the model's probabilities for several rows, with the request's id."""
    answer = client.infer(MODEL, [tensor(triton_client, TEXTS)], request_id="abc")
    np.testing.assert_allclose(
        answer.as_numpy("probabilities__0"), TinyModel(1).offline(TEXTS), atol=1e-5
    )
    assert answer.get_response().id == "abc"
    assert answer.get_response().model_version == "1"


async def test_the_asynchronous_client_gets_the_same(front: Front) -> None:
    """`tritonclient.grpc.aio` infers and streams as against Triton itself."""
    sent = [tensor(triton_client_aio, TEXTS)]

    async def messages() -> Any:
        for _ in range(3):
            yield {"model_name": MODEL, "inputs": sent}

    async with triton_client_aio.InferenceServerClient(front.address) as client:
        one = await client.infer(MODEL, sent)
        many = [answer async for answer in client.stream_infer(messages())]
    assert [error for _, error in many] == [None] * 3
    for answer in (one, *(result for result, _ in many)):
        np.testing.assert_allclose(
            answer.as_numpy("probabilities__0"), TinyModel(1).offline(TEXTS), atol=1e-5
        )


def test_a_stream_answers_in_order(client: Any) -> None:
    """200 streamed requests are answered in order, and stopping the stream ends it."""
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(200):
        text = TEXTS[number % 3]
        client.async_stream_infer(MODEL, [tensor(triton_client, [text])], request_id=f"n{number}")
    received = [answers.get(timeout=60) for _ in range(200)]
    client.stop_stream()
    assert answers.empty()
    assert [error for _, error in received] == [None] * 200
    assert [result.get_response().id for result, _ in received] == [f"n{i}" for i in range(200)]
    offline = TinyModel(1).offline(TEXTS)
    for number, (result, _) in enumerate(received):
        found = result.as_numpy("probabilities__0")[0]
        np.testing.assert_allclose(found, offline[number % 3], atol=1e-5)


def test_metadata_is_tritons(client: Any, triton: RunningTriton) -> None:
    """Liveness, metadata, configuration and readiness are Triton's own."""
    with triton_client.InferenceServerClient(triton.grpc_address) as direct:
        assert client.get_server_metadata() == direct.get_server_metadata()
        assert client.get_model_metadata(MODEL) == direct.get_model_metadata(MODEL)
        assert client.get_model_config(MODEL) == direct.get_model_config(MODEL)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(MODEL)
    assert not client.is_model_ready(MODEL, "99")


def test_statistics_are_of_our_models(client: Any, front: Front) -> None:
    """Statistics count requests; without a name, they cover the tasks' models."""

    def count() -> int:
        return int(client.get_inference_statistics(MODEL).model_stats[0].inference_count)

    before = count()
    stub(front).ModelInfer(request(), timeout=5)
    wait_until(lambda: count() == before + len(TEXTS), "Triton counts the texts that it answered")
    names = {model.name for model in client.get_inference_statistics().model_stats}
    assert names == {"support-onnx", "swapped-onnx", "undone-onnx", "mixed-onnx"}


@pytest.mark.parametrize("method", sorted({m.name for m in SERVICE.methods} - EXPOSED))
def test_what_controls_triton_is_refused(front: Front, method: str) -> None:
    """Repository, shared-memory, trace and log calls are NOT_EXPOSED, even with control keys."""
    message = getattr(pb, SERVICE.methods_by_name[method].input_type.name)()
    call = getattr(stub(front), method)
    for metadata in ((), WITH_KEY):
        refused = refusal(partial(call, message, timeout=5, metadata=metadata))
        assert words(refused) == ("PERMISSION_DENIED", "NOT_EXPOSED", "")


@pytest.mark.parametrize(
    "name", ["shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"]
)
@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_shared_memory_is_refused(front: Front, side: str, name: str) -> None:
    """A tensor in shared memory is refused by its parameter's name."""
    asked = request()
    asked.outputs.add(name="probabilities__0")
    getattr(asked, side)[0].parameters[name].int64_param = 1
    field = f"{side}[0].parameters.{name}"
    refused = refusal(lambda: stub(front).ModelInfer(asked, timeout=5))
    assert words(refused) == ("INVALID_ARGUMENT", "SHARED_MEMORY_NOT_EXPOSED", field)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((1025, LENGTH), "SHAPE_TOO_LARGE"),
        ((1024, 1025), "SHAPE_TOO_LARGE"),
        ((1, 2**61, 8), "SHAPE_TOO_LARGE"),
        ((1,) * 9, "SHAPE_TOO_LARGE"),
        ((-1, -LENGTH), "INVALID_SHAPE"),
        ((1, 0), "INVALID_SHAPE"),
        ((), "INVALID_SHAPE"),
    ],
)
def test_shapes_are_bounded(front: Front, shape: tuple[int, ...], reason: str) -> None:
    """Requests with too many rows, elements or dimensions, or wrong shapes, never reach Triton."""
    asked = request()
    asked.inputs[0].ClearField("shape")
    asked.inputs[0].shape.extend(shape)
    refused = refusal(lambda: stub(front).ModelInfer(asked, timeout=5))
    assert words(refused) == ("INVALID_ARGUMENT", reason, "inputs[0].shape")


def test_names_and_numbers_of_tensors_are_bounded(front: Front) -> None:
    """Long names and many tensors are refused."""
    infer = stub(front).ModelInfer
    long_name, many, long_id = request(), request(), request()
    long_name.inputs[0].name = "x" * 100_000
    long_id.id = "x" * 100_000
    for _ in range(17):
        many.outputs.add(name="probabilities__0")
    refused = [refusal(partial(infer, a, timeout=5)) for a in (long_name, many, long_id)]
    assert [words(each) for each in refused] == [
        ("INVALID_ARGUMENT", "VALUE_TOO_LONG", "inputs[0].name"),
        ("INVALID_ARGUMENT", "TOO_MANY_TENSORS", "outputs"),
        ("INVALID_ARGUMENT", "VALUE_TOO_LONG", "id"),
    ]


@pytest.mark.parametrize("name", ["", "support", "other-onnx", "support-onnx/../x", "x" * 100_000])
def test_other_models_do_not_exist(front: Front, name: str) -> None:
    """An unknown model is MODEL_NOT_FOUND for every method that takes one."""
    calls = stub(front)
    asked = [
        lambda: calls.ModelReady(pb.ModelReadyRequest(name=name), timeout=5),
        lambda: calls.ModelMetadata(pb.ModelMetadataRequest(name=name), timeout=5),
        lambda: calls.ModelConfig(pb.ModelConfigRequest(name=name), timeout=5),
        lambda: calls.ModelInfer(pb.ModelInferRequest(model_name=name), timeout=5),
    ]
    if name:  # without one, statistics are of all models
        statistics = pb.ModelStatisticsRequest(name=name)
        asked.append(lambda: calls.ModelStatistics(statistics, timeout=5))
    found = {words(refusal(call)) for call in asked}
    assert found == {("NOT_FOUND", "MODEL_NOT_FOUND", "")}


def test_tritons_own_errors_are_passed_on(front: Front, client: Any) -> None:
    """Code and message are Triton's; the reason contains the code."""
    infer = stub(front).ModelInfer
    asked = [request() for _ in range(3)]
    asked[0].inputs[0].name = "nothing"
    asked[1].model_version = "99"
    asked[2].raw_input_contents[0] = b"abc"
    refused = [refusal(partial(infer, a, timeout=5)) for a in asked]
    assert [words(each) for each in refused] == [
        ("INVALID_ARGUMENT", "TRITON_INVALID_ARGUMENT", ""),
        ("NOT_FOUND", "TRITON_NOT_FOUND", ""),
        ("INVALID_ARGUMENT", "TRITON_INVALID_ARGUMENT", ""),
    ]
    assert refused[0].message == "unexpected inference input 'nothing' for model 'support-onnx'"
    with pytest.raises(InferenceServerException, match="version 99 is not found"):
        client.get_model_metadata(MODEL, "99")


@pytest.mark.parametrize("method", sorted(EXPOSED))
def test_what_cannot_be_decoded_is_refused(front: Front, method: str) -> None:
    """Incomplete messages are MALFORMED_MESSAGE, as everywhere."""
    path, broken = f"/{SERVICE.full_name}/{method}", b"\x0a\x05x"
    channel: Any = front.channel
    if method == "ModelStreamInfer":
        refused = refusal(lambda: list(channel.stream_stream(path)(iter([broken]), timeout=5)))
    else:
        refused = refusal(lambda: channel.unary_unary(path)(broken, timeout=5))
    assert words(refused) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE", "message")


def test_reflection_lists_the_service(front: Front) -> None:
    """Tools without the protos find it."""
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    reflect = reflection_pb2_grpc.ServerReflectionStub(front.channel).ServerReflectionInfo
    answer = next(iter(reflect(iter([asked]), timeout=5)))
    names = [service.name for service in answer.list_services_response.service]
    assert "inference.GRPCInferenceService" in names
