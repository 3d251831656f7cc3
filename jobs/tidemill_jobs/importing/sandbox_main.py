"""The confined process that loads a model from elsewhere: `python -m … MEMORY_BYTES`.

It answers requests on stdin. A message is the length of a JSON line (8 bytes, big-endian), the
line, and as many bytes as the line's `bytes` says.
"""

import json
import os
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

from tidemill_jobs.importing.confinement import confine
from tidemill_jobs.importing.foreign_model import (
    FRAME,
    LAST_LAYER,
    Calibration,
    ForeignModel,
    Vocabulary,
)

_CAUSE_LENGTH = 300


def main() -> None:
    """Answer requests until stdin ends."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a model prints must not reach the answers
    confine(int(sys.argv[1]))
    model: ForeignModel | None = None
    while (received := _read(requests)) is not None:
        request, data = received
        answer: dict[str, Any] = {}
        payload = b""
        try:
            if request["do"] == "open":
                model = _open(request)
                answer = {"fixed_length": model.fixed_length}
            elif model is not None:
                answer, payload = _do(model, request, data)
        except Exception as error:  # whatever a model from elsewhere causes
            answer = {"error": _cause(error), "reason": getattr(error, "reason", "")}
        _write(answers, answer, payload)


def _open(request: Any) -> ForeignModel:
    # Only now: what starts threads must come after the confinement.
    path, vocabulary = Path(request["path"]), Vocabulary(**request["vocabulary"])
    if request["format"] == LAST_LAYER:
        from tidemill_jobs.monitoring.drift.last_layer import LastLayer

        return LastLayer(path)
    if request["format"] == "onnx":
        from tidemill_jobs.importing.onnx_model import OnnxModel

        return OnnxModel(path.read_bytes(), vocabulary)
    import torch

    from tidemill_jobs.importing.torchscript_model import TorchScriptModel

    torch.set_num_threads(1)
    return TorchScriptModel(path, vocabulary)


def _do(model: ForeignModel, request: Any, data: bytes) -> tuple[dict[str, Any], bytes]:
    import numpy as np

    if request["do"] == "wrap":
        return {}, model.wrapped(Calibration(**request["calibration"]))
    rows = np.frombuffer(data, np.int32).reshape(request["shape"]).copy()
    found = np.ascontiguousarray(model.answer(rows), np.float32)
    return {"shape": found.shape}, found.tobytes()


def _cause(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    named = f"{type(error).__name__}: " if not getattr(error, "reason", "") else ""
    # torch puts what happened at the end of a traceback through the model's own code.
    told = (
        lines[-1]
        if lines and lines[0].startswith("The following operation failed")
        else (lines[0] if lines else "no message")
    )
    return (named + told.removeprefix(named))[:_CAUSE_LENGTH]


def _read(stream: BinaryIO) -> tuple[Any, bytes] | None:
    size = stream.read(struct.calcsize(FRAME))
    if not size:
        return None
    request = json.loads(stream.read(struct.unpack(FRAME, size)[0]))
    return request, stream.read(request.get("bytes", 0))


def _write(stream: BinaryIO, answer: dict[str, Any], payload: bytes) -> None:
    line = json.dumps({**answer, "bytes": len(payload)}).encode()
    stream.write(struct.pack(FRAME, len(line)) + line)
    stream.write(payload)
    stream.flush()


if __name__ == "__main__":
    main()
