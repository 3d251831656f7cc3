"""A Ray cluster of several nodes on this machine, which only this machine reaches."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.plugins.triton import free_ports
from tests.plugins.waiting import wait_until

_HOST = "127.0.0.2"
"""Ray takes 127.0.0.1 in an address for the machine's public one."""
_STORE_BYTES = 80 << 20
_START_SECONDS = 180.0


class RayCluster:
    """A head, and nodes with one CPU each; a context manager that ends them.

    Without other nodes, the head has the CPU.

    Attributes:
        address: of the head.
    """

    def __init__(self, nodes: int) -> None:
        self._count = nodes
        # The paths of Ray's sockets must be short.
        self._folder = tempfile.TemporaryDirectory(
            prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
        )
        self._nodes: list[subprocess.Popen[bytes]] = []
        (port,) = free_ports(1)
        self.address = f"{_HOST}:{port}"
        self._port = port

    def __enter__(self) -> Self:
        head = ["--head", f"--port={self._port}", f"--num-cpus={0 if self._count else 1}"]
        try:
            self._start(*head, "--include-dashboard=false", f"--temp-dir={self._folder.name}")
            self._wait_for_last()
            # One after the other, because nodes of one machine that start at once take each
            # other's ports.
            for _ in range(self._count):
                self._start(f"--address={self.address}", "--num-cpus=1")
                self._wait_for_last()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        for node in reversed(self._nodes):
            if node.poll() is not None:
                continue
            children = psutil.Process(node.pid).children(recursive=True)
            node.terminate()
            try:
                node.wait(10.0)
            except subprocess.TimeoutExpired:
                node.kill()
                node.wait()
            for child in children:
                if child.is_running():
                    child.kill()
        self._folder.cleanup()

    def kill_node(self) -> None:
        """Kill the last node's processes, as a machine that loses its power does."""
        node = self._nodes.pop()
        for process in (
            *psutil.Process(node.pid).children(recursive=True),
            psutil.Process(node.pid),
        ):
            process.kill()
        node.wait()

    def _start(self, *options: str) -> None:
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", *options]
        bounds = [
            f"--node-ip-address={_HOST}",
            "--disable-usage-stats",
            f"--object-store-memory={_STORE_BYTES}",
            "--min-worker-port=0",
            "--max-worker-port=0",
        ]
        with self._said(len(self._nodes)).open("wb") as said:
            node = subprocess.Popen(
                [*command, *bounds],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "RAY_worker_niceness": "0"},
            )
        self._nodes.append(node)

    def _said(self, number: int) -> Path:
        return Path(self._folder.name) / f"node{number}.log"

    def _wait_for_last(self) -> None:
        """Wait until the last node is part of the cluster."""
        said, node = self._said(len(self._nodes) - 1), self._nodes[-1]

        def started() -> bool:
            content = said.read_text(errors="replace")
            if node.poll() is not None:
                raise RuntimeError(f"a node of Ray did not start: {content[-1000:]}")
            return "Ray runtime started" in content

        wait_until(started, "a node started", _START_SECONDS)
