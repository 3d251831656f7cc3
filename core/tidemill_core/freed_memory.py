"""The return of freed memory to the system, in processes that live for long."""

import ctypes

_MMAP_THRESHOLD = -3
"""glibc's number of the option M_MMAP_THRESHOLD (malloc.h)."""
_LARGE_BYTES = 128 << 10


def return_large_blocks() -> None:
    """Make glibc return blocks of 128 KiB and more to the system as soon as they are freed.

    glibc raises that size up to 32 MiB by itself, and then keeps such blocks in one arena for each
    thread. Small blocks that live longer lie between them, so the arenas grow for hours. A fixed
    size switches that off. Other C libraries have no such option.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
