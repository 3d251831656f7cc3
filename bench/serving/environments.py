"""A virtual environment for each peer, with the versions that `peers/<name>.txt` pins."""

import subprocess
import sys
from pathlib import Path

from rich.console import Console

PEERS = Path(__file__).parent / "peers"
ENVIRONMENTS = Path(__file__).parent / ".envs"
_INSTALLED = "installed.txt"


def python_of(name: str, console: Console) -> Path:
    """The Python of a peer's environment, made or renewed where its pins are not what it has.

    Raises:
        subprocess.CalledProcessError: pip failed; it has said why.
    """
    pins = PEERS / f"{name}.txt"
    folder = ENVIRONMENTS / name
    installed = folder / _INSTALLED
    python = folder / "bin" / "python"
    if installed.exists() and installed.read_bytes() == pins.read_bytes():
        return python
    console.print(f"installing {name} into {folder}: once, and it takes minutes")
    make = [sys.executable, "-m", "venv", "--clear", str(folder)]
    subprocess.run(make, check=True)  # noqa: S603 -- our own words
    install = [str(python), "-m", "pip", "install", "--quiet", "--requirement", str(pins)]
    subprocess.run(install, check=True)  # noqa: S603 -- our own words
    installed.write_bytes(pins.read_bytes())
    return python


def version_of(name: str, package: str) -> str:
    """The version that a peer's pins name."""
    for line in (PEERS / f"{name}.txt").read_text().splitlines():
        pinned, _, number = line.partition("==")
        if pinned.lower().replace("_", "-") == package:
            return number
    raise KeyError(f"{PEERS / name}.txt does not pin {package}")
