"""The region in /dev/shm through which Triton and one stub process talk."""

import os
from pathlib import Path

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Triton's Python backend keeps its regions
_NAME_ARGUMENT = 2


def remove_name() -> None:
    """Remove the region's name; both sides have it open, so they keep the memory until they end.

    However they end, nothing is left behind then.
    """
    arguments = Path("/proc/self/cmdline").read_bytes().split(b"\0")
    (_SHARED_MEMORY / os.fsdecode(arguments[_NAME_ARGUMENT])).unlink(missing_ok=True)
