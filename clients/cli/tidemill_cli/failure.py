"""What a command that failed says, and the exit code it ends with."""

REQUEST_FAILED = 1
WRONG_USAGE = 2
NOTHING_RUNS = 3


class CommandFailed(Exception):
    """A command cannot do what it was asked; the message says why and what to do."""

    def __init__(self, message: str, exit_code: int = REQUEST_FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class NotNow(CommandFailed):
    """The server cannot answer at the moment, and may soon."""


class NothingRuns(NotNow):
    """No server answers at the address."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"nothing answers at {address}: start it by `tidemill up` in its workspace, or name "
            "another server by --address",
            NOTHING_RUNS,
        )


class ExtrasMissing(CommandFailed):
    """A command that works on this machine needs more than the client's packages."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f"this command needs more than the client ({module} is missing): "
            "pip install 'tidemill[server,jobs]'"
        )
