"""The stack of docker-compose.yml in a workspace of its own, on free ports."""

import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from deploy.compose_test.engine import Engine, Failed, run
from deploy.compose_test.images import ROOT
from tidemill_client import TidemillClient

TASK = "colors"
LABELS = ("blue", "green", "red")
SERVICES = ("postgres", "triton", "server", "jobs")
PROJECT = "tidemill-compose-test"
_SETTINGS = f"""\
tracking = {{ trackers = [] }}
server = {{ max_queue_delay_ms = 5000 }} # a busy machine must not refuse the test's calls
[tasks.{TASK}]
sources = [{{ path = "examples/colors.csv" }}]
"""
_STEP_SECONDS = 900.0
_KILLED = 128 + signal.SIGKILL


class Stack:
    """Tidemill in containers.

    Attributes:
        http: the URL of its HTTP API.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        self._files = ["docker-compose.yml", "images.yml"]
        self._grpc_port, http_port = _free_port(), _free_port()
        self.http = f"http://127.0.0.1:{http_port}"
        self._environment = {
            **engine.environment,
            "POSTGRES_PASSWORD": secrets.token_hex(32),
            "TIDEMILL_TRITON__CONTROL_KEY": secrets.token_hex(32),
            "TIDEMILL_GRPC_PORT": str(self._grpc_port),
            "TIDEMILL_HTTP_PORT": str(http_port),
        }
        _write_workspace(folder)

    def use(self, images: Mapping[str, str]) -> None:
        """Name the image of each service; the next `up` uses them."""
        services = {service: {"image": image} for service, image in images.items()}
        text = yaml.safe_dump({"services": services})
        (self._folder / "images.yml").write_text(text, "utf-8")

    def add(self, file: Path) -> None:
        """Add a compose file."""
        shutil.copy(file, self._folder)
        self._files.append(file.name)

    def set(self, **variables: str) -> None:
        """Set variables of the compose files; the next `up` uses them."""
        self._environment |= variables

    def compose(self, *arguments: str, redirected: str = "") -> str:
        """Run a compose command, and return its output.

        Args:
            arguments: the command.
            redirected: a shell's redirection, such as `< backup`.
        """
        files = [f"--file={self._folder / name}" for name in self._files]
        command = (*self._engine.compose, f"--project-name={PROJECT}", *files, *arguments)
        line = f"{shlex.join(command)} {redirected}"
        return run(("sh", "-c", line), self._environment, _STEP_SECONDS)

    def up(self, *services: str) -> None:
        """Start services, all without a name, and wait until each is healthy."""
        self.compose("up", "--detach", "--no-build", *services)
        self.wait_healthy(services or SERVICES)

    def container(self, service: str) -> str:
        """Return the id of a service's container."""
        labels = {"project": PROJECT, "service": service}
        filters = [f"--filter=label=com.docker.compose.{key}={labels[key]}" for key in labels]
        found = self._engine.run("ps", "--all", "--quiet", *filters).split()
        if len(found) != 1:
            raise Failed(f"{service} has {len(found)} containers")
        return found[0]

    def tidemill(self, *arguments: str, key: str = "", service: str = "server") -> str:
        """Run a `tidemill` command in a service's container, as the guides show it."""
        caller = ("exec", f"--env=TIDEMILL_API_KEY={key}", self.container(service))
        return self._engine.run(*caller, "tidemill", *arguments, timeout=_STEP_SECONDS)

    def sql(self, statement: str, database: str = "tidemill") -> list[str]:
        """Return the rows of a statement, as PostgreSQL prints them."""
        psql = (
            "psql",
            "--username=tidemill",
            f"--dbname={database}",
            "--tuples-only",
            "--no-align",
        )
        command = ("exec", self.container("postgres"), *psql, f"--command={statement}")
        return self._engine.run(*command).split()

    def client(self, key: str) -> TidemillClient:
        """Return a connection to the published gRPC port."""
        return TidemillClient(f"127.0.0.1:{self._grpc_port}", api_key=key, timeout=30)

    def send(self, number: signal.Signals, service: str) -> None:
        """Send a signal to the main process of a service's container.

        Raises:
            Failed: the engine runs on another machine, where this number is another process.
        """
        pid = self._state(service)["Pid"]
        here, there = (Path(f"/proc/{each}/ns/pid") for each in ("self", pid))
        if not there.is_symlink() or here.readlink() == there.readlink():
            raise Failed(f"{service}: no container's process has the number {pid} here")
        os.kill(pid, number)

    def started(self, service: str) -> str:
        """Return when a service's container started last."""
        return str(self._state(service)["StartedAt"])

    def wait_healthy(self, services: tuple[str, ...] = SERVICES) -> None:
        """Wait until the health check of each service succeeds."""
        for service in services:
            wait_until(partial(self.healthy, service), f"{service} is healthy")

    def healthy(self, service: str) -> bool:
        """Return whether a service's own health check succeeds now."""
        if self._engine.is_podman:  # systemd runs the checks, and a container may have none
            return self._engine.succeeds("healthcheck", "run", self.container(service))
        return bool(self._state(service)["Health"]["Status"] == "healthy")

    def logs(self) -> str:
        """Return the ends of the containers' logs and their states."""
        ours = ("ps", "--all", f"--filter=label=com.docker.compose.project={PROJECT}")
        names = self._engine.run(*ours, "--format={{.Names}}").split()
        logs = (f"--- {name}\n{self.log(name)}" for name in names)
        return "\n".join([self._engine.run(*ours), *logs])

    def log(self, container: str) -> str:
        """Return the end of a container's log."""
        command = f"{self._engine.program} logs --tail=25 {container} 2>&1"
        return run(("sh", "-c", command), self._environment, 60)

    def stop(self) -> float:
        """Stop all containers with SIGTERM, and return the seconds that it took.

        Raises:
            Failed: one had to be killed.
        """
        start = time.monotonic()
        self.compose("stop")
        seconds = time.monotonic() - start
        killed = [name for name in SERVICES if self._state(name)["ExitCode"] == _KILLED]
        if killed:
            raise Failed(f"killed after their grace period: {', '.join(killed)}")
        return seconds

    def down(self) -> None:
        """Remove containers, networks and volumes.

        Raises:
            Failed: one is left.
        """
        self.compose("down", "--volumes")
        for kind in (("ps", "--all"), ("network", "ls"), ("volume", "ls")):
            if left := self._engine.run(*kind, "--quiet", f"--filter=name={PROJECT}").split():
                raise Failed(f"{kind[0]}: left behind: {', '.join(left)}")

    def _state(self, service: str) -> dict[str, Any]:
        text = self._engine.run("inspect", "--format={{json .State}}", self.container(service))
        state: dict[str, Any] = json.loads(text)
        return state


def wait_until(holds: Callable[[], bool], what: str, seconds: float = _STEP_SECONDS) -> float:
    """Wait until a condition holds, and return the seconds that it took.

    Raises:
        Failed: it does not hold in time.
    """
    start = time.monotonic()
    while not holds():
        if time.monotonic() - start > seconds:
            raise Failed(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.5)
    return time.monotonic() - start


def _write_workspace(folder: Path) -> None:
    """Write the compose file of this repository and a workspace with one small task."""
    shutil.copy(ROOT / "docker-compose.yml", folder)
    (folder / "examples").mkdir()
    rows = [f"text number {n} is {label},{label}" for n in range(60) for label in LABELS]
    (folder / "examples" / "colors.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (folder / "tidemill.toml").write_text(_SETTINGS, "utf-8")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
