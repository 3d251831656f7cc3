"""The peers: how to start and call each of them.

`peers/<program>_app.py` is written as experienced users would write it: with the peer's own
batching if it has one, and with one thread in each process that runs the model.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.serving.environments import PEERS
from bench.serving.workspace import TASK, TORCHSCRIPT_TASK, Workspace
from tests.plugins.triton import free_ports

_START_SECONDS = 120.0
_END_SECONDS = 20.0


@dataclass(frozen=True)
class Peer:
    """A system to compare with.

    Attributes:
        title: its usual name.
        environment: the name of its environment and its pins.
        package: the pinned package whose version is reported.
        command: the arguments of its Python; the port is also in the variable PORT.
        path: the path of its endpoint.
        body: returns the JSON of a request for a text.
        task: the task whose model it serves.
        model_format: the format of that model.
    """

    title: str
    environment: str
    package: str
    command: tuple[str, ...]
    path: str
    body: Callable[[str], object]
    task: str = TASK
    model_format: str = "onnx"


def _plain(text: str) -> object:
    return {"text": text}


def _bentoml(text: str) -> object:
    return {"texts": [text]}


def _inference_protocol(text: str) -> object:
    return {"inputs": [{"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": [text]}]}


_UVICORN = (
    *("-m", "uvicorn", "--host=127.0.0.1", "--port={port}", "--workers={processes}"),
    *("--no-access-log", "--log-level=warning"),
)
ALL = {
    "fastapi-torchscript": Peer(
        "FastAPI + TorchScript",
        "fastapi_torchscript",
        "fastapi",
        (*_UVICORN, "fastapi_torchscript_app:app"),
        "/predict",
        _plain,
        TORCHSCRIPT_TASK,
        "torchscript",
    ),
    "fastapi-onnx": Peer(
        "FastAPI + ONNX Runtime",
        "fastapi_onnx",
        "fastapi",
        (*_UVICORN, "fastapi_onnx_app:app"),
        "/predict",
        _plain,
    ),
    "litserve": Peer(
        "LitServe", "litserve", "litserve", ("-m", "litserve_app"), "/predict", _plain
    ),
    "bentoml": Peer(
        "BentoML",
        "bentoml",
        "bentoml",
        ("-m", "bentoml", "serve", "bentoml_app:Classify", "--host=127.0.0.1", "--port={port}"),
        "/predict",
        _bentoml,
    ),
    "mlserver": Peer(
        "MLServer",
        "mlserver",
        "mlserver",
        ("-m", "mlserver_app", "{folder}"),
        "/v2/models/support/infer",
        _inference_protocol,
    ),
}


@contextlib.contextmanager
def running_peer(
    peer: Peer, python: Path, processes: int, workspace: Workspace, question: str, label: str
) -> Iterator[tuple[str, int]]:
    """Start a peer, wait until it labels a text, yield its URL and process id, and stop it.

    Raises:
        RuntimeError: it does not start, or answers another label.
    """
    port, other = free_ports(2)
    url = f"http://127.0.0.1:{port}{peer.path}"
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
        words = [
            word.format(port=port, processes=processes, folder=folder) for word in peer.command
        ]
        environment = os.environ | {
            "MODEL_FOLDER": str(workspace.model_folder(peer.task, peer.model_format)),
            "PROCESSES": str(processes),
            "PORT": str(port),
            "OTHER_PORT": str(other),
            "PYTHONPATH": str(PEERS),
            "ORT_DISABLE_TELEMETRY": "1",
            "PATH": f"{python.parent}:{os.environ['PATH']}",
        }
        process = subprocess.Popen(  # noqa: S603 -- our own words
            [str(python), *words],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait(peer, process, url, question, label)
            yield url, process.pid
        except Exception as error:
            log.seek(0)
            raise RuntimeError(f"{peer.title}: {error}\n{log.read()[-3000:]}") from error
        finally:
            _end(process)


def _wait(
    peer: Peer, process: subprocess.Popen[bytes], url: str, question: str, label: str
) -> None:
    body = json.dumps(peer.body(question)).encode()
    request = urllib.request.Request(  # noqa: S310 -- our own address
        url, body, {"Content-Type": "application/json"}
    )
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            with urllib.request.urlopen(request, timeout=5.0) as response:  # noqa: S310 -- our own address
                answer = response.read().decode()
            if f'"{label}"' not in answer:
                raise RuntimeError(f"expected the label {label!r}, got {answer}")
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"did not start: {error}") from error
            time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop the peer and all that it started in its session."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
