"""What a command that failed says, and the exit code it ends with.

CommandFailed                1: the request failed
├── CannotWrite              a file cannot be written
├── ExtrasMissing            the command needs packages that are not installed
├── NotNow                   the server cannot answer yet
│   └── NothingRuns          3: no server, or no stack, can be reached
└── WrongUsage               2: the command line, a file that it names, or a setting is wrong
    ├── AlreadyThere         a file that must be new exists
    ├── CannotRead           a file cannot be read
    ├── UnknownTask          no task has this name
    └── TaskNotNamed         there is more than one task, or none
"""

from collections.abc import Iterable
from pathlib import Path


class CommandFailed(Exception):
    """A command cannot do what it was asked; the message says why and what to do."""

    exit_code = 1


class CannotWrite(CommandFailed):
    """A file or folder cannot be written."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(f"{path} cannot be written: {error.strerror or error}")


class NotNow(CommandFailed):
    """The server cannot answer at the moment, and may soon."""


class NothingRuns(NotNow):
    """No server, or no stack, can be reached."""

    exit_code = 3


class ExtrasMissing(CommandFailed):
    """A command that works on this machine needs more than the client's packages."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f"this command needs more than the client ({module} is missing): run "
            "`pip install -c constraints.txt '.[server,jobs]'` in Tidemill's clone"
        )


class WrongUsage(CommandFailed):
    """The command line, a file that it names, or a setting is wrong."""

    exit_code = 2


class AlreadyThere(WrongUsage):
    """A file or folder that a command would write already exists."""

    def __init__(self, path: Path, remedy: str) -> None:
        super().__init__(f"{path} is there already: {remedy}")


class CannotRead(WrongUsage):
    """A file that the command line names cannot be read."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}")


class UnknownTask(WrongUsage):
    """No task has this name."""

    def __init__(self, task: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no task {task!r}; there are: {_listed(known)}")


class TaskNotNamed(WrongUsage):
    """A task must be named, since there is not exactly one, or the caller may not see them."""

    def __init__(self, known: Iterable[str] | None = None) -> None:
        super().__init__(
            "name the task" + ("" if known is None else f"; there are: {_listed(known)}")
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
