"""The calls of the measurements: all texts of the example in turn, none twice."""

import csv
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from google.protobuf.message import Message
from tritonclient.grpc import service_pb2

from bench.serving.callers import Crew
from bench.serving.workspace import EXAMPLE, TASK, Stack, Workspace
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.model_repository import ModelRepository

BATCH = 64
LARGE_BATCH = 200
STREAM_MESSAGES = 1024
STREAMS = BATCHES = 4
"""Streams or batches in flight."""
_PREFIX = 5
_PASSES = 8
_SERVICE = "/tidemill.v1.PredictionService"


def framed(message: Message) -> bytes:
    """Return a message in its form on the wire: uncompressed, length-prefixed."""
    content = message.SerializeToString()
    return b"\0" + len(content).to_bytes(4, "big") + content


def example_texts() -> list[str]:
    """Return the shipped example's texts."""
    with EXAMPLE.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)]


@cache
def distinct_texts() -> list[str]:
    """Return the example's texts several times, from the second time on with a number."""
    texts = example_texts()
    again = (f"{text} {number}" for number in range(2, _PASSES + 1) for text in texts)
    return [*texts, *again]


@dataclass(frozen=True)
class Calls:
    """Prepared calls of one server, each kind in an endless cycle.

    Attributes:
        address: host:port of the server.
        metadata: the metadata of each call.
        unary: bodies of Predict.
        batches: bodies of BatchPredict of 64 texts.
        large_batches: bodies of BatchPredict of 200 texts.
        streams: bodies of StreamPredict of 1,024 texts.
    """

    address: str
    metadata: Sequence[tuple[str, str]]
    unary: Iterator[bytes]
    batches: Iterator[bytes]
    large_batches: Iterator[bytes]
    streams: Iterator[bytes]

    def predict(self, callers: int) -> Crew:
        """Return callers of Predict."""
        path = f"{_SERVICE}/Predict"
        return Crew(self.address, path, self.metadata, self.unary, callers)

    def batch_predict(self) -> Crew:
        """Return callers of BatchPredict of 64."""
        return self._batches(self.batches, BATCH)

    def large_batch_predict(self) -> Crew:
        """Return callers of BatchPredict of 200."""
        return self._batches(self.large_batches, LARGE_BATCH)

    def stream_predict(self) -> Crew:
        """Return callers that keep a stream of 1,024 texts open, and then open the next."""
        path = f"{_SERVICE}/StreamPredict"
        return Crew(
            self.address, path, self.metadata, self.streams, STREAMS, STREAM_MESSAGES, _streamed
        )

    def _batches(self, bodies: Iterator[bytes], rows: int) -> Crew:
        path = f"{_SERVICE}/BatchPredict"
        return Crew(self.address, path, self.metadata, bodies, BATCHES, rows, _batched)


def of_tidemill(stack: Stack) -> Calls:
    """Return the calls of a stack's front."""
    return Calls(
        stack.grpc_address,
        stack.metadata,
        unary=itertools.cycle(map(_predict, distinct_texts())),
        batches=_cycled(BATCH, _batch),
        large_batches=_cycled(LARGE_BATCH, _batch),
        streams=_cycled(STREAM_MESSAGES, _stream),
    )


def of_triton(stack: Stack, workspace: Workspace, callers: int) -> Crew:
    """Return callers of Triton's ModelInfer with ready token ids."""
    repository = ModelRepository(workspace.folder / "model_repository")
    ids = repository.encoder(TASK, "onnx", 1).encode(distinct_texts())
    request = service_pb2.ModelInferRequest(model_name=f"{TASK}-onnx", model_version="1")
    request.inputs.add(name="input_ids", datatype="INT32", shape=(1, ids.shape[1]))
    bodies = []
    for row in ids:
        request.raw_input_contents[:] = [row.tobytes()]
        bodies.append(framed(request))
    path = "/inference.GRPCInferenceService/ModelInfer"
    return Crew(stack.triton_address, path, (), itertools.cycle(bodies), callers)


def _predict(text: str) -> bytes:
    return framed(pb.PredictRequest(task=TASK, text=text))


def _batch(texts: Sequence[str]) -> bytes:
    return framed(pb.BatchPredictRequest(task=TASK, texts=texts))


def _stream(texts: Sequence[str]) -> bytes:
    return b"".join(
        framed(pb.StreamPredictRequest(id=f"{number:05d}", task=TASK, text=text))
        for number, text in enumerate(texts)
    )


def _cycled(rows: int, body: Callable[[Sequence[str]], bytes]) -> Iterator[bytes]:
    texts = distinct_texts()
    whole = len(texts) // rows * rows
    return itertools.cycle([body(texts[begin : begin + rows]) for begin in range(0, whole, rows)])


def _batched(answer: bytes) -> int:
    return sum(
        result.HasField("prediction")
        for message in messages(answer)
        for result in pb.BatchPredictResponse.FromString(message).results
    )


def _streamed(answer: bytes) -> int:
    return sum(
        pb.StreamPredictResponse.FromString(message).HasField("prediction")
        for message in messages(answer)
    )


def messages(body: bytes) -> Iterator[bytes]:
    """Return the complete messages at the start of a body, without their prefixes."""
    begin = 0
    while begin + _PREFIX <= len(body):
        end = begin + _PREFIX + int.from_bytes(body[begin + 1 : begin + _PREFIX], "big")
        if end > len(body):
            return
        yield body[begin + _PREFIX : end]
        begin = end
