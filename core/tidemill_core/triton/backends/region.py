"""The region in /dev/shm through which Triton and one stub process exchange data."""

import contextlib
import os
from pathlib import Path

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Triton's Python backend keeps its regions
_NAME_ARGUMENT = 2


def remove_name() -> None:
    """Remove the region's name, so that nothing is left when the processes end, even by a kill.

    Both sides have the region open, so they keep the memory until then. Where the name cannot be
    found or removed, the next start of Triton removes the region.
    """
    with contextlib.suppress(OSError, IndexError):
        arguments = Path("/proc/self/cmdline").read_bytes().split(b"\0")
        (_SHARED_MEMORY / os.fsdecode(arguments[_NAME_ARGUMENT])).unlink()
