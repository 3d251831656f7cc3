"""A real embedded Triton on free ports.

>>> with RunningTriton(repository, state_directory, ("support-onnx",)) as triton:
...     TritonClient(triton.grpc_address)
"""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from random import randrange
from types import TracebackType
from typing import Self

from tritonclient.grpc import InferenceServerClient
from tritonclient.grpc.service_pb2 import ModelStatistics

from tidemill_core.supervisor.exec_with_parent import with_parent
from tidemill_core.triton.control import TritonControl
from tidemill_core.triton.embedded import CONTROL_KEY_HEADER, EmbeddedTriton, prepare
from tidemill_core.triton.process import exec_triton

CONTROL_KEY = "key-of-a-test"
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4
_FIRST_PORT = 10_000 + 5_000 * _WORKER
_OFFSET = randrange(5_000)
_PORTS = cycle(_FIRST_PORT + (_OFFSET + number) % 5_000 for number in range(5_000))
"""Below the ports that the system gives to clients."""
_READY_TIMEOUT_SECONDS = 120.0


class RunningTriton:
    """Triton in its own process, ready when the block is entered and gone when it is left.

    Attributes:
        grpc_address: its gRPC address; stays the same over `kill` and `start`.
        http_address: its HTTP address.
        process: the tritonserver process.
    """

    def __init__(
        self, model_repository: Path | str, state_directory: Path, load_models: tuple[str, ...] = ()
    ) -> None:
        self._ports = free_ports(3)
        self._arguments = json.dumps(
            [str(model_repository), str(state_directory), self._ports, list(load_models)]
        )
        self.grpc_address = f"127.0.0.1:{self._ports[0]}"
        self.http_address = f"127.0.0.1:{self._ports[1]}"
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()  # its own end waits for seconds, and here nothing is left to end well
        self._end_stubs()

    def start(self) -> None:
        """Start Triton and wait until it answers."""
        if hasattr(self, "process"):
            self._end_stubs()
        self.process = subprocess.Popen(
            with_parent(sys.executable, "-P", __file__, self._arguments), start_new_session=True
        )
        with self.control() as control:
            control.wait_ready(_READY_TIMEOUT_SECONDS)

    def revive(self) -> None:
        """Start Triton again if it has died, say in an earlier test that failed."""
        if self.process.poll() is not None:
            self.start()

    def kill(self) -> None:
        """Kill Triton with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def _end_stubs(self) -> None:
        """Kill what is left in Triton's session, as the supervisor does.

        A stub whose tritonserver was killed ends itself, unless it is just starting.
        """
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def control(self) -> TritonControl:
        """Return a connection that has the control key."""
        return TritonControl(self.grpc_address, CONTROL_KEY)

    def is_unloaded(self, model_name: str) -> bool:
        """Return whether a model that was loaded is gone from memory, version 1 included."""
        key = {f"triton-grpc-protocol-{CONTROL_KEY_HEADER}": CONTROL_KEY}
        with InferenceServerClient(self.grpc_address) as client:
            models = client.get_model_repository_index(headers=key).models
        return [each.reason for each in models if each.name == model_name] == ["unloaded"]

    def statistics(self, model_name: str) -> ModelStatistics:
        """Return Triton's counts for version 1 of a model since it was loaded."""
        with InferenceServerClient(self.grpc_address) as client:
            [found] = client.get_inference_statistics(model_name, "1").model_stats
            return found


def free_ports(count: int) -> list[int]:
    """Return free ports on loopback, which no other worker and no client gets."""
    found: list[int] = []
    while len(found) < count:
        port = next(_PORTS)
        with socket.socket() as each, suppress(OSError):
            each.bind(("127.0.0.1", port))
            found.append(port)
    return found


def _become_triton(arguments: str) -> None:
    repository, state, ports, models = json.loads(arguments)
    grpc_port, http_port, metrics_port = ports
    triton = EmbeddedTriton(
        model_repository=Path("/" if "://" in repository else repository),
        state_directory=Path(state),
        grpc_port=grpc_port,
        http_port=http_port,
        metrics_port=metrics_port,
        control_key=CONTROL_KEY,
        load_models=tuple(models),
    )
    command = prepare(triton)
    if "://" in repository:  # NVIDIA's containers may read object storage; the embedded one can too
        local = command.arguments[1]
        assert local.startswith("--model-repository=")
        arguments = (command.arguments[0], f"--model-repository={repository}")
        command = replace(command, arguments=(*arguments, *command.arguments[2:]))
    exec_triton(command)


if __name__ == "__main__":
    _become_triton(sys.argv[1])
