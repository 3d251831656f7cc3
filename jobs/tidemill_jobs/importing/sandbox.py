"""A model from elsewhere in a confined process, which this process asks."""

import json
import os
import signal
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from tidemill_core.supervisor.exec_with_parent import with_parent
from tidemill_jobs.importing.foreign_model import FRAME, Calibration, Vocabulary
from tidemill_jobs.importing.refusal import ModelRefused

MEMORY_BYTES = 8 << 30
"""The process's address space, besides a multiple of the model's size."""
_COPIES = 8
OPEN_SECONDS = 300.0
ANSWER_SECONDS = 120.0
_STOP_SECONDS = 5.0


def address_space(path: Path) -> int:
    """Return the bytes of address space that a confined process gets for a model's file."""
    return MEMORY_BYTES + _COPIES * path.stat().st_size


def confined_environment() -> dict[str, str]:
    """Return the environment of a confined process: no secrets, and one thread."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {"PATH": os.environ.get("PATH", ""), **threads}


class Sandbox:
    """An opened model; a context manager that ends its process.

    Each method raises ModelRefused if the model fails, its process dies or takes too long.

    Args:
        path: the model's file.
        model_format: `onnx` or `torchscript`, or LAST_LAYER.
        vocabulary: the ids that the model gets.
    """

    def __init__(self, path: Path, model_format: str, vocabulary: Vocabulary) -> None:
        self._opening = {
            "do": "open",
            "path": str(path),
            "format": model_format,
            "vocabulary": asdict(vocabulary),
        }
        self._memory = address_space(path)
        self._process: subprocess.Popen[bytes]
        self.fixed_length: int | None = None
        """The only number of ids in a row that the model takes; None if it takes any."""

    def __enter__(self) -> "Sandbox":
        program = (sys.executable, "-P", "-m", "tidemill_jobs.importing.sandbox_main")
        self._process = subprocess.Popen(  # noqa: S603 -- no outside input
            with_parent(*program, str(self._memory)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=confined_environment(),
        )
        try:
            self.fixed_length = self._ask(self._opening, b"", OPEN_SECONDS)[0]["fixed_length"]
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def answer(self, input_ids: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Return the model's answers to encoded rows: its own output, or the wrapped model's."""
        request = {"do": "answer", "shape": input_ids.shape}
        answer, data = self._ask(request, input_ids.tobytes(), ANSWER_SECONDS)
        return np.frombuffer(data, np.float32).reshape(answer["shape"])

    def wrap(self, calibration: Calibration) -> bytes:
        """Return the model with the input and output of Tidemill's models.

        From then on, `answer` asks that model.
        """
        request = {"do": "wrap", "calibration": asdict(calibration)}
        return self._ask(request, b"", OPEN_SECONDS)[1]

    def _ask(self, request: dict[str, Any], data: bytes, seconds: float) -> tuple[Any, bytes]:
        requests = cast("BinaryIO", self._process.stdin)
        answers = cast("BinaryIO", self._process.stdout)
        late = threading.Timer(seconds, self._process.kill)
        late.start()
        try:
            line = json.dumps({**request, "bytes": len(data)}).encode()
            requests.write(struct.pack(FRAME, len(line)) + line + data)
            requests.flush()
            answer = json.loads(_exactly(answers, _length(answers)))
            payload = _exactly(answers, answer["bytes"])
        except (OSError, EOFError, ValueError) as error:
            raise self._ended(late.is_alive(), seconds) from error
        finally:
            late.cancel()
        if "error" in answer:
            raise _refusal(request["do"], answer)
        return answer, payload

    def _ended(self, in_time: bool, seconds: float) -> ModelRefused:
        code = self._process.wait()
        if not in_time:
            return ModelRefused(f"the model took over {seconds:g} s", "an answer within that time")
        gigabytes = self._memory / (1 << 30)
        return ModelRefused(
            f"the process that ran the model ended with {_ending(code)}",
            f"a model that loads and answers in {gigabytes:.0f} GiB of memory",
        )

    def _end(self) -> None:
        self._process.kill()
        self._process.wait(_STOP_SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):  # what was not sent is not needed
                    stream.close()


def _refusal(what: str, answer: Any) -> ModelRefused:
    """Return the confined process's refusal as one of this process."""
    if answer["reason"]:
        found, _, expected = answer["error"].partition("; expected ")
        return ModelRefused(found, expected)
    doing = {"open": "loaded", "answer": "run", "wrap": "wrapped"}[what]
    return ModelRefused(
        f"the model cannot be {doing}: {answer['error']}",
        "a model that answers token ids in its tokenizer's range, in batches of any size and in "
        "rows of the length that --max-length names",
    )


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _length(stream: BinaryIO) -> int:
    length: int = struct.unpack(FRAME, _exactly(stream, struct.calcsize(FRAME)))[0]
    return length


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data
