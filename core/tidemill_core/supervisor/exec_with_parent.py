"""Executes a program that is killed when its parent dies.

Run as a script: `python -I exec_with_parent.py PARENT_PID PROGRAM [ARGUMENT…]`. Setting this
between fork and exec instead (`preexec_fn`) would run Python code in a fork of a process that
may have threads, and that can deadlock.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def with_parent(*command: str) -> tuple[str, ...]:
    """What to start instead of a command, so that it is killed when this process dies.

    The kernel watches the *thread* that starts it, so that one must live as long.
    """
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), *command)


def main() -> None:
    """Ask the kernel to send SIGKILL when the parent is gone, then become the program."""
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        # It may have died before the kernel was told to watch it.
        if os.getppid() != int(parent):
            sys.exit("the parent is gone already")
    os.execvp(command[0], command)  # noqa: S606 -- what the supervisor was told to run, no shell


if __name__ == "__main__":
    main()
