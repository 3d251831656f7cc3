"""A real file system of a few MiB, for tests with a full disk."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_OPTIONS = "size=12m,nr_inodes=500"


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """Mount a small file system on a new folder; skip the test if it cannot be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", _OPTIONS, "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("this machine has no `mount`")
    if done.returncode != 0:
        pytest.skip(f"cannot mount a small file system: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Fill the disk, so that neither a byte nor a file's name fits; repeat it if some was freed."""
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
