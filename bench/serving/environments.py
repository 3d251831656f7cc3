"""A virtual environment for each peer, with the versions that `peers/<name>.txt` pins."""

import subprocess
import sys
from pathlib import Path

from rich.console import Console

PEERS = Path(__file__).parent / "peers"
ENVIRONMENTS = Path(__file__).parent / ".envs"
_INSTALLED = "installed.txt"


def python_of(name: str, console: Console) -> Path:
    """Return the Python of a peer's environment; create the environment if its pins changed.

    Raises:
        subprocess.CalledProcessError: pip failed; its output has the reason.
    """
    pins = PEERS / f"{name}.txt"
    folder = ENVIRONMENTS / name
    installed = folder / _INSTALLED
    python = folder / "bin" / "python"
    if installed.exists() and installed.read_bytes() == pins.read_bytes():
        return python
    console.print(f"installing {name} into {folder}; this happens once and takes minutes")
    make = [sys.executable, "-m", "venv", "--clear", str(folder)]
    subprocess.run(make, check=True)  # noqa: S603 -- our own words
    install = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(pins)]
    subprocess.run(install, check=True)  # noqa: S603 -- our own words
    installed.write_bytes(pins.read_bytes())
    return python


def version_of(name: str, package: str) -> str:
    """Return the version of a package in a peer's pins."""
    for line in (PEERS / f"{name}.txt").read_text().splitlines():
        pinned, _, number = line.partition("==")
        if pinned.lower().replace("_", "-") == package:
            return number
    raise KeyError(f"{PEERS / name}.txt does not pin {package}")
