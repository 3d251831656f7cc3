"""Answers as protobuf bytes, written directly: protobuf's objects cost twice as much.

`tests/unit/server/test_wire.py` compares them with protobuf's own.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache

from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.errors import TidemillError
from tidemill_server.inference.work import Answer
from tidemill_server.rpc.status import to_status

_double = struct.Struct("<d").pack
_ZERO = _double(0.0)


def predict_response(value: Prediction) -> bytes:
    """Return a PredictResponse."""
    return _message(b"\x0a", prediction(value))


def batch_response(values: Sequence[Answer]) -> bytes:
    """Return a BatchPredictResponse."""
    return b"".join(_message(b"\x0a", _result(b"\x0a", b"\x12", each)) for each in values)


def stream_response(request_id: str, value: Answer) -> bytes:
    """Return a StreamPredictResponse."""
    return _string(b"\x0a", request_id) + _result(b"\x12", b"\x1a", value)


def prediction(value: Prediction) -> bytes:
    """Return a Prediction."""
    if not value.label:
        return _reward(value)
    parts = [
        _string(b"\x0a", value.prediction_id),
        _label(b"\x12", value.label),
        _number(b"\x19", value.confidence),
    ]
    parts += [_message(b"\x22", _score(each)) for each in value.scores]
    if value.model_version:
        parts.append(b"\x28" + _varint(value.model_version))
    if value.abstained:
        parts.append(b"\x30\x01")
    return b"".join(parts)


def _reward(value: Prediction) -> bytes:
    parts = (
        _string(b"\x0a", value.prediction_id),
        b"\x28" + _varint(value.model_version),
        b"\x39" + _double(value.scores[0].score),
    )
    return b"".join(parts)


def _result(prediction_tag: bytes, error_tag: bytes, value: Answer) -> bytes:
    if isinstance(value, TidemillError):
        return _message(error_tag, to_status(value).SerializeToString())
    return _message(prediction_tag, prediction(value))


def _score(value: Score) -> bytes:
    return _label(b"\x0a", value.label) + _number(b"\x11", value.score)


def _number(tag: bytes, value: float) -> bytes:
    packed = _double(value)
    return b"" if packed == _ZERO else tag + packed


def _string(tag: bytes, value: str) -> bytes:
    return _message(tag, value.encode()) if value else b""


_label = lru_cache(maxsize=4096)(_string)
"""Labels repeat from answer to answer."""


def _message(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


@lru_cache(maxsize=4096)
def _varint(value: int) -> bytes:
    """Return a positive number in base 128, the lowest digits first."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
