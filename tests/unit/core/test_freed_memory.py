"""The return of freed memory."""

import platform
import subprocess
import sys

import pytest

_PROGRAM = """
import ctypes

from tidemill_core.freed_memory import return_large_blocks


class Counts(ctypes.Structure):
    _fields_ = [(f"field_{n}", ctypes.c_size_t) for n in range(10)]  # mallinfo2(3)


libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
libc.mallinfo2.restype = Counts
return_large_blocks()
libc.free(libc.malloc(16 << 20))
before = libc.mallinfo2().field_4
libc.malloc(1 << 20)
print(libc.mallinfo2().field_4 - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the option is glibc's")
def test_large_blocks_stay_out_of_the_arenas_after_a_larger_one_was_freed() -> None:
    """A block of 1 MiB is the system's own, also after a larger one was freed."""
    done = subprocess.run([sys.executable, "-c", _PROGRAM], check=True, capture_output=True)
    assert int(done.stdout) >= 1 << 20
