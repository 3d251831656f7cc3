"""The gRPC messages that h2load sends again and again, prepared once."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.message import Message
from tritonclient.grpc import service_pb2_grpc

from bench.serving.workspace import EXAMPLE, TASK, Stack, Workspace
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tidemill_core.model_repository import ModelRepository
from tidemill_core.triton import calls

BATCH = 64
STREAM_MESSAGES = 1024
GENERATORS = 4
"""The number of h2load processes. Each sends one body only, so each has its own text."""
_PREFIX = 5


@dataclass(frozen=True)
class Prepared:
    """The calls of one h2load process.

    Attributes:
        path: the method, `/package.Service/Method`.
        body: length-prefixed messages.
        answer_bytes_per_row: bytes of DATA in the answer to one row. They count the answers,
            because a refused call has HTTP status 200 and no DATA.
        rows: texts in it.
    """

    path: str
    body: bytes
    answer_bytes_per_row: float
    rows: int


def framed(message: Message) -> bytes:
    """Return a message in its form on the wire: uncompressed, length-prefixed."""
    content = message.SerializeToString()
    return b"\0" + len(content).to_bytes(4, "big") + content


def example_texts() -> list[str]:
    """Return the shipped example's texts."""
    with EXAMPLE.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


def chosen_texts() -> list[str]:
    """Return a text for each generator, with lengths spread evenly over the example's."""
    ordered = sorted(example_texts(), key=len)
    return [
        ordered[(2 * number + 1) * len(ordered) // (2 * GENERATORS)] for number in range(GENERATORS)
    ]


def unary(stack: Stack) -> list[Prepared]:
    """Prepare Predict with one text for each generator."""
    with grpc.insecure_channel(stack.grpc_address) as channel:
        stub = PredictionServiceStub(channel)
        requests = [pb.PredictRequest(task=TASK, text=text) for text in chosen_texts()]
        answers = [stub.Predict(request, metadata=stack.metadata) for request in requests]
    return [
        _prepared("Predict", [request], [answer], 1)
        for request, answer in zip(requests, answers, strict=True)
    ]


def batches(stack: Stack) -> list[Prepared]:
    """Prepare BatchPredict of 64 texts, different ones for each generator."""
    prepared, texts = [], example_texts()
    with grpc.insecure_channel(stack.grpc_address) as channel:
        stub = PredictionServiceStub(channel)
        for number in range(GENERATORS):
            chosen = texts[number * BATCH : (number + 1) * BATCH]
            request = pb.BatchPredictRequest(task=TASK, texts=chosen)
            answer = stub.BatchPredict(request, metadata=stack.metadata)
            prepared.append(_prepared("BatchPredict", [request], [answer], BATCH))
    return prepared


def streams(stack: Stack) -> list[Prepared]:
    """Prepare StreamPredict with 1,024 texts in each stream, the same for each generator."""
    requests = [
        pb.StreamPredictRequest(id=f"{number:05d}", task=TASK, text=text)
        for number, text in enumerate(example_texts()[:STREAM_MESSAGES])
    ]
    with grpc.insecure_channel(stack.grpc_address) as channel:
        call = PredictionServiceStub(channel).StreamPredict(iter(requests), metadata=stack.metadata)
        answers = list(call)
    if any(answer.HasField("error") for answer in answers):
        raise RuntimeError("a stream got an error for an answer")
    return [_prepared("StreamPredict", requests, answers, len(requests))] * GENERATORS


def triton(stack: Stack, workspace: Workspace) -> list[Prepared]:
    """Prepare Triton's ModelInfer with the token ids of the texts of `unary`."""
    repository = ModelRepository(workspace.folder / "model_repository")
    encoder = repository.encoder(TASK, "onnx", 1)
    prepared = []
    with grpc.insecure_channel(stack.triton_address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for text in chosen_texts():
            request = calls.infer_request(f"{TASK}-onnx", 1, encoder.encode([text]))
            body, answer = framed(request), framed(stub.ModelInfer(request))
            path = "/inference.GRPCInferenceService/ModelInfer"
            prepared.append(Prepared(path, body, len(answer), 1))
    return prepared


def _prepared(
    method: str, requests: Sequence[Message], answers: Sequence[Message], rows: int
) -> Prepared:
    answered = sum(answer.ByteSize() + _PREFIX for answer in answers)
    body = b"".join(map(framed, requests))
    return Prepared(f"/tidemill.v1.PredictionService/{method}", body, answered / rows, rows)
