"""The `tidemill` command: its subcommands and its exit codes."""

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer._click.exceptions import ClickException  # typer has no public name for it
from typer.core import TyperGroup

from tidemill_cli.failure import CommandFailed, ExtrasMissing, WrongUsage
from tidemill_cli.output import adapt_to_terminal, complain
from tidemill_core.errors import (
    ConfigurationError,
    DataError,
    InvalidArgument,
    NotFound,
    TidemillError,
)
from tidemill_core.loopback import keep_loopback_direct
from tidemill_core.plain_rules import plain_rule
from tidemill_core.shown import shown_lines

_HELP = "Keeps a text classifier good after launch: data, training, serving, monitoring, feedback."
_EPILOG = """\
Start here: `tidemill init my-workspace --data examples.csv`, then `tidemill up` in it.

Environment variables:

TIDEMILL_ADDRESS: host:port, for every command that has --address.

TIDEMILL_API_KEY: an API key or a token. TIDEMILL_INSECURE=1 allows sending it without TLS.

TIDEMILL_ROOT_CERTIFICATES: PEM file of the roots to trust, or `system`; it turns TLS on. \
It is not needed in a workspace whose tidemill.toml sets tls.certificate.

TIDEMILL_CLIENT_CERTIFICATE, TIDEMILL_CLIENT_KEY: PEM files, for servers that ask \
for a client certificate.
"""
_INTERRUPTED = 130
_WRONG = (ConfigurationError, DataError, InvalidArgument, NotFound)
"""The errors that end a command as wrong usage does: what it was given is wrong."""

COMMANDS = {
    "init": "Write a new workspace for your own examples.",
    "up": "Start Triton, the server and the jobs, and keep them running until Ctrl-C.",
    "restart": "Replace the server's workers one at a time, without a failed request.",
    "status": "Show whether the server and each task answer; exit code 0 only if all do.",
    "predict": "Predict the label of each text, or rate an answer to a prompt.",
    "score": "Predict the label of each row of a file or a table, and write another one.",
    "evaluate": "Measure a version on labeled rows; without a version, the champion.",
    "feedback": "Say which predictions were right; the next version learns from it.",
    "preferences": "Say which of two answers is better, and export the pairs.",
    "label": "Label the texts that wait for people.",
    "models": "Show model versions and decide which of them answer.",
    "datasets": "Show, compare, export and remove the data that models were trained on.",
    "jobs": "Start and follow batch jobs.",
    "reports": "Show what the checks found.",
    "replay": "Replay a dated dataset through Tidemill: how accurate would it have stayed?",
    "alerts": "Show, acknowledge and silence alerts.",
    "erase": "Erase a person's texts, and show erased ones.",
    "backup": "Write the database, datasets, models and keys to a file, while everything runs.",
    "restore": "Restore a backup into a workspace without data.",
    "keys": "Create and revoke the API keys of callers.",
    "audit": "Show who changed what.",
    "doctor": "Check whether this machine and this workspace can run Tidemill.",
}
"""The commands and what they do. Each is the `app` of the module with its name."""


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Word the library's errors plainly, and make the arguments that they repeat safe to print."""
    try:
        yield
    except ClickException as error:
        error.message = plain_rule(shown_lines(error.message))
        raise


def _without_line_ends(docstring: str) -> str:
    """Return a docstring with each paragraph on one line, which the library wraps."""
    return "\n\n".join(" ".join(each.split()) for each in docstring.split("\n\n"))


class _ImportedWhenUsed(TyperGroup):
    """The commands. A module is imported only when its command runs, since imports take time."""

    _only_described = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 -- typer's signature
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 -- typer's signature
        if cmd_name not in COMMANDS:
            return None
        if self._only_described:
            return TyperGroup(name=cmd_name, help=COMMANDS[cmd_name])
        module = importlib.import_module(f"tidemill_cli.{cmd_name}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        command.help = command.help or COMMANDS[cmd_name]
        for each in (command, *getattr(command, "commands", {}).values()):
            each.help = _without_line_ends(each.help)
        return command

    def make_context(self, *args: Any, **extra: Any) -> Any:
        with _plain_errors():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        with _plain_errors():
            return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._only_described = True
        super().format_help(ctx, formatter)


app = typer.Typer(
    cls=_ImportedWhenUsed,
    help=_HELP,
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"tidemill {importlib.metadata.version('tidemill')}\n")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
]


@app.callback()
def _tidemill(version: Version = False) -> None:
    """Do nothing: the only option acts when it is parsed."""
    del version


def _require_utf8(arguments: Sequence[str]) -> None:
    """Refuse arguments that no message and no settings file can hold."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:  # bytes that are not UTF-8 are surrogates
            raise WrongUsage(f"the argument {argument!r} is not UTF-8") from error


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Returns:
        The exit code: 0 success, 1 the request failed, 2 what it was given is wrong, 3 no server,
        4 a model was refused or rejected, 130 stopped by Ctrl-C.
    """
    adapt_to_terminal(sys.stdout, sys.stderr)
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # the error says why TLS failed
    try:
        _require_utf8(arguments)
        app(args=list(arguments), prog_name="tidemill")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else CommandFailed.exit_code
    except CommandFailed as failed:
        complain(str(failed))
        return failed.exit_code
    except TidemillError as error:
        detail = " ".join(error.detail.split())  # PostgreSQL's has lines and tabs
        complain(f"{error}{detail and f': {detail}'} ({error.reason})")
        return (WrongUsage if isinstance(error, _WRONG) else CommandFailed).exit_code
    except ModuleNotFoundError as error:
        from tidemill_cli.local import missing_module

        if missing_module() is None:
            raise
        missing = ExtrasMissing(str(error.name))
        complain(str(missing))
        return missing.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def main() -> None:
    """Run the `tidemill` command and exit."""
    keep_loopback_direct()
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
