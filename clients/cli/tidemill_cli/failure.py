"""The failures of commands; each has a message and an exit code.

CommandFailed                1: the request was right and failed
├── ExtrasMissing            the command needs packages that are not installed
├── NotAccepted              4: a model was refused, or the gates rejected it
├── NotNow                   the server cannot answer yet
│   └── NothingRuns          3: no server, or no stack, can be reached
└── WrongUsage               2: the command line, something that it names, or a setting is wrong
    ├── AlreadyThere         a file that must be new exists
    ├── CannotRead           a file cannot be read
    ├── CannotWrite          a file cannot be written
    ├── UnknownTask          no task has this name
    └── TaskNotNamed         there is more than one task, or none
"""

from collections.abc import Iterable
from pathlib import Path

from tidemill_core.durable import cause
from tidemill_core.extras import installation


class CommandFailed(Exception):
    """A command that failed; the message says why and what to do."""

    exit_code = 1


class NotAccepted(CommandFailed):
    """A model that does not fit its task, or that the gates rejected."""

    exit_code = 4


class NotNow(CommandFailed):
    """A server that cannot answer now, but may soon."""


class NothingRuns(NotNow):
    """A server or stack that cannot be reached."""

    exit_code = 3


class ExtrasMissing(CommandFailed):
    """A package of the extras that a command needs and that is not installed."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f"this command needs more than the client ({module} is missing): "
            + installation("server,jobs")
        )


class WrongUsage(CommandFailed):
    """A mistake on the command line, in something that it names, or in a setting."""

    exit_code = 2


class AlreadyThere(WrongUsage):
    """A file or folder that must be new but exists."""

    def __init__(self, path: Path | str, remedy: str) -> None:
        super().__init__(f"{path} already exists: {remedy}")


class CannotRead(WrongUsage):
    """A file on the command line that cannot be read."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(f"{path} cannot be read: {cause(error)}")


class CannotWrite(WrongUsage):
    """A file or folder that cannot be written."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(f"{path} cannot be written: {cause(error)}")


class UnknownTask(WrongUsage):
    """A task that does not exist."""

    reason = "UNKNOWN_TASK"  # the server's word

    def __init__(self, task: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no task {task!r}; there are: {_listed(known)}")


class TaskNotNamed(WrongUsage):
    """A task that was left out, though there is not exactly one or the caller may not list them."""

    def __init__(self, known: Iterable[str] | None = None) -> None:
        super().__init__(
            "name the task" + ("" if known is None else f"; there are: {_listed(known)}")
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
