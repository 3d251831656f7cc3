"""The machine and the versions of a measurement."""

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from bench.serving.environments import version_of
from bench.serving.peer import ALL

_OWN = (
    "tidemill",
    "h2corn",
    "grpcio",
    "uvloop",
    "tokenizers",
    "onnxruntime",
    "torch",
    "nvidia-pytriton",
)


def machine() -> str:
    """Return a description of the machine in one line."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = psutil.virtual_memory().total / 2**30
    name = model[1] if model else platform.processor()
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {name}, {memory:.0f} GiB"


def versions() -> dict[str, str]:
    """Return the versions of the measured systems and of wrk."""
    found = {"Python": platform.python_version()} | {name: version(name) for name in _OWN}
    found |= {peer.title: version_of(peer.environment, peer.package) for peer in ALL.values()}
    if shutil.which("wrk"):
        done = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)  # noqa: S607 -- from the PATH
        found["wrk"] = done.stdout.splitlines()[0].split()[1]
    return found
