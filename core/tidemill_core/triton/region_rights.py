"""A seccomp filter that keeps other users from reading Triton's shared memory.

Triton's Python backend creates its regions in /dev/shm with Boost, which sets their mode to 0644
with `fchmod`, whatever the umask. The regions hold callers' requests and models' answers.
"""

import ctypes
import os
import struct

import structlog

_PR_SET_NO_NEW_PRIVS = 38
_SYS_SECCOMP, _SET_MODE_FILTER = 317, 1
_ALLOW_SPECULATION = 4  # a filter's mitigations would slow every model down
_ARCHITECTURE, _NUMBER = 4, 0  # offsets in the kernel's `seccomp_data`
_X86_64, _SYS_FCHMOD = 0xC000003E, 91
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_DO_NOTHING, _ALLOW = 0x00050000, 0x7FFF0000

log = structlog.get_logger()

_FILTER = (
    (_LOAD, 0, 0, _ARCHITECTURE),
    (_JUMP_IF_EQUAL, 0, 3, _X86_64),
    (_LOAD, 0, 0, _NUMBER),
    (_JUMP_IF_EQUAL, 0, 1, _SYS_FCHMOD),
    (_RETURN, 0, 0, _DO_NOTHING),
    (_RETURN, 0, 0, _ALLOW),
)


def keep_regions_private() -> None:
    """Turn `fchmod` into a call that does nothing, so files keep the mode that the umask gives.

    This holds for this process and those that it starts, and cannot be undone: call it right before
    the process becomes tritonserver. Where seccomp is not available, log a warning and go on.
    """
    os.umask(0o077)
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _FILTER)
    instructions = ctypes.create_string_buffer(program)
    header = struct.pack("HP", len(_FILTER), ctypes.addressof(instructions))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.syscall(_SYS_SECCOMP, _SET_MODE_FILTER, _ALLOW_SPECULATION, header) != 0:
        log.warning("shared_memory_readable_by_others", detail=os.strerror(ctypes.get_errno()))
