"""A script that executes a program which is killed when its parent dies.

    python -I exec_with_parent.py PARENT_PID PROGRAM [ARGUMENT…]

The alternative, `preexec_fn`, runs Python code between fork and exec, which can deadlock if the
forking process has threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def with_parent(*command: str) -> tuple[str, ...]:
    """Return the command to start instead of one that is to be killed when this process dies.

    The kernel watches the *thread* that starts it, so that thread must live as long.
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
        # The parent may have died before the kernel watched it.
        if os.getppid() != int(parent):
            sys.exit("the parent has ended already")
    os.execvp(command[0], command)  # noqa: S606 -- the supervisor's command, no shell


if __name__ == "__main__":
    main()
