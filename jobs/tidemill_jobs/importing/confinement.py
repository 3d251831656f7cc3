"""The confinement of a process that loads a model from elsewhere. Linux only; all else is a no-op.

It must be called before the process starts threads, so before it imports torch or NumPy. What the
kernel does not offer (a container may forbid it) is left out: the file checks come before, and the
limits on memory and file size hold everywhere.
"""

import contextlib
import ctypes
import os
import resource
import sys

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_NO_NEW_PRIVS = 38
# Linux numbers these system calls alike on all machines.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_VERSION = 1
_WRITE_FILE, _EXECUTE = 1 << 1, 1
_REMOVE_AND_MAKE = sum(1 << bit for bit in range(4, 13))
_TRUNCATE = 1 << 14  # since version 3
_MAX_OPEN_FILES = 256


def confine(memory_bytes: int) -> None:
    """Take this process's rights to the network, to files of others, and to much memory.

    - A user and a network namespace of its own: root's rights over the machine, and every network
      interface, are gone.
    - Landlock: no file can be opened for writing, made, removed or executed.
    - Limits: no byte can be written to a file, and the address space is bounded.

    Args:
        memory_bytes: the largest address space.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _forbid_writing(libc)
    limits = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: _MAX_OPEN_FILES,
    }
    for limit, value in limits.items():
        with contextlib.suppress(ValueError, OSError):  # macOS has no limit on the address space
            resource.setrlimit(limit, (value, value))


def _forbid_writing(libc: ctypes.CDLL) -> None:
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION)
    if version < 1:
        return
    handled = _WRITE_FILE | _EXECUTE | _REMOVE_AND_MAKE | (_TRUNCATE if version >= 3 else 0)
    attribute = ctypes.c_uint64(handled)
    rules = libc.syscall(
        _LANDLOCK_CREATE_RULESET, ctypes.byref(attribute), ctypes.sizeof(attribute), 0
    )
    if rules >= 0:
        libc.syscall(_LANDLOCK_RESTRICT_SELF, rules, 0)
        os.close(rules)
