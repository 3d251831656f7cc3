"""Messages that a careless or hostile caller may send."""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as inference_pb2

from tests.integration.server.models import LENGTH, POISON, WORDS, tokenizer_json
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_core.text import TextEncoder
from tidemill_server.services.table import REFLECTION, SERVICES

METHODS: tuple[MethodDescriptor, ...] = tuple(
    method for service in (*SERVICES, REFLECTION) for method in service.methods
)
KNOWN_WORDS = tuple(word for word in WORDS if word != POISON)
Dictionary = Mapping[str, Sequence[str]]
"""Values that mean something to the server, by the name of the field."""

_DEPTH = 3
_MOST_BYTES = 100_000
_NASTY = (
    *("", " ", "\0", "\x1b[2J", "\u202e", "\ufffd", "a\u0301", "../../etc/passwd", "%s%n", "-1"),
    *("'; DROP TABLE predictions; --", "x" * 201, "x" * 5000, "\U0001f642" * 500),
)
_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_ENUM: (-(2**31), 2**31 - 1),
}
_ENCODER = TextEncoder(tokenizer_json(), LENGTH)


def messages(method: MethodDescriptor, dictionary: Dictionary) -> st.SearchStrategy[bytes]:
    """Return messages of a method: good, wrong in their fields, damaged, or none."""
    structured = _structured(method.input_type, dictionary, _DEPTH).map(_encoded)
    if method.name not in ANSWERED:
        return structured | _damaged(structured) | st.binary(max_size=64)
    good = ANSWERED[method.name]()
    merged = st.builds(_joined, good, structured)
    return st.one_of(good, structured, merged, _damaged(good), st.binary(max_size=64))


def texts() -> st.SearchStrategy[str]:
    """Return texts that the models know, so that each has its own answer."""
    return st.lists(st.sampled_from(KNOWN_WORDS), min_size=1, max_size=LENGTH).map(" ".join)


def _structured(
    descriptor: Descriptor, dictionary: Dictionary, depth: int
) -> st.SearchStrategy[Any]:
    """Return messages of a type with any of its fields."""
    fields = {
        field.name: _field(field, dictionary, depth)
        for field in descriptor.fields
        if depth or field.message_type is None
    }
    message = GetMessageClass(descriptor)
    return st.fixed_dictionaries({}, optional=fields).map(lambda chosen: message(**chosen))


def _field(field: FieldDescriptor, dictionary: Dictionary, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name
        key, value = (_value(entry[name], dictionary, depth) for name in ("key", "value"))
        return st.dictionaries(key, value, max_size=3)
    value = _value(field, dictionary, depth)
    return st.lists(value, max_size=3) if field.is_repeated else value


def _value(field: FieldDescriptor, dictionary: Dictionary, depth: int) -> st.SearchStrategy[Any]:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_MESSAGE:
        return _structured(field.message_type, dictionary, max(0, depth - 1))
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if kind == FieldDescriptor.CPPTYPE_FLOAT:
        return st.floats(width=32)
    if kind == FieldDescriptor.CPPTYPE_DOUBLE:
        return st.floats() | st.just(math.nan)
    if kind in _RANGES:
        least, most = _RANGES[kind]
        return st.integers(0, 4) | st.integers(least, most) | st.sampled_from((least, most))
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=64)
    known = dictionary.get(field.name, _NASTY)
    return st.sampled_from(known) | st.sampled_from(_NASTY) | st.text(max_size=40)


def _damaged(sound: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Return messages that are cut, changed, extended, or repeated to make long lists."""

    def cut(message: bytes, share: float) -> bytes:
        return message[: int(len(message) * share)]

    def changed(message: bytes, share: float, byte: bytes) -> bytes:
        at = int(len(message) * share)
        return message[:at] + byte + message[at + 1 :]

    def repeated(message: bytes, count: int) -> bytes:
        return message * min(count, _MOST_BYTES // (len(message) or 1))

    share, byte = st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=1)
    return st.one_of(
        st.builds(cut, sound, share),
        st.builds(changed, sound, share, byte),
        st.builds(_joined, sound, st.binary(min_size=1, max_size=16)),
        st.builds(repeated, sound, st.integers(2, 3000)),
    )


def _predict() -> st.SearchStrategy[bytes]:
    return st.builds(
        pb.PredictRequest,
        task=st.sampled_from(("support", "swapped", "mixed")),
        text=texts(),
        top_k=st.integers(0, 5),
        model_version=st.integers(0, 1),
        request_id=st.uuids().map(str),
    ).map(_encoded)


def _batch_predict() -> st.SearchStrategy[bytes]:
    return st.builds(
        pb.BatchPredictRequest,
        task=st.sampled_from(("support", "swapped", "mixed")),
        texts=st.lists(texts() | st.sampled_from(_NASTY), min_size=1, max_size=20),
        top_k=st.integers(0, 5),
    ).map(_encoded)


def _stream_predict() -> st.SearchStrategy[bytes]:
    return st.builds(
        pb.StreamPredictRequest,
        id=st.uuids().map(str),
        task=st.sampled_from(("support", "swapped", "mixed")),
        text=texts() | st.sampled_from(_NASTY),
        top_k=st.integers(0, 5),
    ).map(_encoded)


def _infer() -> st.SearchStrategy[bytes]:
    def request(rows: Sequence[str], name: str) -> bytes:
        ids = _ENCODER.encode(rows)
        asked = inference_pb2.ModelInferRequest(model_name="support-onnx", id=name)
        asked.inputs.add(name="input_ids", datatype="INT32", shape=ids.shape)
        asked.raw_input_contents.append(struct.pack(f"<{ids.size}i", *ids.flatten().tolist()))
        return _encoded(asked)

    rows = st.lists(texts(), min_size=1, max_size=5)
    return st.builds(request, rows, st.uuids().map(str))


ANSWERED: Mapping[str, Callable[[], st.SearchStrategy[bytes]]] = {
    "Predict": _predict,
    "BatchPredict": _batch_predict,
    "StreamPredict": _stream_predict,
    "ModelInfer": _infer,
    "ModelStreamInfer": _infer,
}
"""Well-formed messages that a model answers, by method."""


def _joined(first: bytes, second: bytes) -> bytes:
    """Return one message with the fields of both; later ones count."""
    return first + second


def _encoded(message: Any) -> bytes:
    return bytes(message.SerializeToString())
