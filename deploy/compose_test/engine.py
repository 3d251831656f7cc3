"""The container engine: Docker if it answers, otherwise Podman in a store of its own."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidemill/compose-test"
"""What stays after a test: the engine's images and caches, if the engine is Podman."""

_CONTAINERS = """\
[containers]
default_ulimits = [{limits}]
[engine]
{engine}
[network]
network_config_dir = "{cache}/networks"
"""
_ENOUGH = 4096
"""Files and processes of a container."""
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{cache}/storage"
runroot = "/run/tidemill-compose-test"
"""


class Failed(Exception):
    """A command or a step of the test failed; the message says which, and shows its output."""


@dataclass(frozen=True)
class Engine:
    """A container engine that works on this machine.

    Attributes:
        program: `docker` or `podman`.
        compose: the command that reads compose files with this engine.
        environment: all variables of its commands.
    """

    program: str
    compose: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)

    @property
    def is_podman(self) -> bool:
        """Whether images are built offline and health checks have no timer of their own."""
        return self.program == "podman"

    def run(self, *arguments: str, timeout: float = 300) -> str:
        """Run a command of the engine, and return its standard output.

        Raises:
            Failed: it failed, or did not end in time.
        """
        return run((self.program, *arguments), self.environment, timeout)

    def succeeds(self, *arguments: str) -> bool:
        """Return whether a command of the engine ends with success."""
        try:
            self.run(*arguments)
        except Failed:
            return False
        return True


def run(command: tuple[str, ...], environment: Mapping[str, str], timeout: float) -> str:
    """Run a command, and return its standard output.

    Raises:
        Failed: it failed, or did not end in time.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the test's own commands
            command, env=dict(environment), capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(command)}: no end within {timeout:.0f} s") from error
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise Failed(f"{' '.join(command)}: exit code {done.returncode}\n{tail}")
    return done.stdout


def find_engine() -> Engine:
    """Return the engine of this machine.

    Raises:
        Failed: it has none, or its engine does not work.
    """
    docker = Engine("docker", ("docker", "compose"), dict(os.environ))
    if shutil.which("docker") and docker.succeeds("info") and docker.succeeds("compose", "version"):
        return docker
    if not shutil.which("podman"):
        raise Failed("no Docker engine answers, and podman is not installed")
    compose = (sys.executable, "-m", "podman_compose")
    podman = Engine("podman", compose, os.environ | _podman_settings())
    podman.run("info")
    return podman


def _podman_settings() -> dict[str, str]:
    """Give Podman a store of its own, so that stand-in images never get into the user's."""
    CACHE.mkdir(parents=True, exist_ok=True)
    containers, storage = CACHE / "containers.conf", CACHE / "storage.conf"
    # Podman's own limits may be above those that this machine allows.
    limits = (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC))
    named = ", ".join(f'"{name}={_allowed(limit)}"' for name, limit in limits)
    # crun refuses the cgroups of version 1 beside those of version 2.
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    engine = "" if unified else 'runtime = "runc"'
    containers.write_text(_CONTAINERS.format(limits=named, engine=engine, cache=CACHE), "utf-8")
    storage.write_text(_STORAGE.format(cache=CACHE), "utf-8")
    return {"CONTAINERS_CONF": str(containers), "CONTAINERS_STORAGE_CONF": str(storage)}


def _allowed(limit: int) -> int:
    _, hard = resource.getrlimit(limit)
    return _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
