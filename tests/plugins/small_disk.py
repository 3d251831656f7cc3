"""A real file system of a few MiB, for what happens when a disk is full."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_OPTIONS = "size=12m,nr_inodes=500"


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A small file system at a folder, which is made; skips the test where it cannot be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", _OPTIONS, "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no `mount` here to make a small file system with")
    if done.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leave room neither for a byte nor for a file's name; call it again if some was freed."""
    with contextlib.suppress(OSError):
        for number in range(1_000_000):
            (folder / f"filler-{number}").touch()
    for block in (1 << 20, 4096, 1):
        with contextlib.suppress(OSError), (folder / "filler-0").open("ab", 0) as file:
            while True:
                file.write(b"x" * block)


def clear(folder: Path) -> None:
    """Undo `fill`."""
    for path in folder.glob("filler-*"):
        path.unlink()
