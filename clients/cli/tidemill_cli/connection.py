"""From a command to the server: its address, its client, and what a call's failure means."""

import getpass
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Protocol, TypeVar

import grpc
import typer
from google.protobuf.message import Message

from tidemill_cli.failure import REQUEST_FAILED, CommandFailed, NothingRuns, NotNow
from tidemill_client import TidemillClient, TidemillError, translated_errors
from tidemill_core.settings import load_settings

CALL_SECONDS = 30.0
_LARGEST_PAGE = 1000
_PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
# Addresses that mean "every interface" are listened on, not connected to.
_EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "[::]": "[::1]"}  # noqa: S104

Address = Annotated[
    str,
    typer.Option(
        envvar="TIDEMILL_ADDRESS",
        metavar="HOST:PORT",
        help="The server; without it, the one of this folder's tidemill.toml.",
        show_default=False,
    ),
]
Limit = Annotated[int, typer.Option(min=1, help="How many to show, newest first.")]
OnlyTask = Annotated[str, typer.Option(help="Only this task's.", show_default=False)]


def server_address(address: str) -> str:
    """The address given, or the one that the workspace's settings imply.

    Raises:
        ConfigurationError: none is given, and the settings cannot be read.
    """
    if address:
        return address
    settings = load_settings()
    host = _EVERY_INTERFACE.get(settings.grpc_host, settings.grpc_host)
    return f"{host}:{settings.grpc_port}"


@contextmanager
def connected(address: str) -> Iterator[TidemillClient]:
    """A client for the block; what its calls raise becomes a failure of the command."""
    target = server_address(address)
    try:
        with TidemillClient(target, timeout=CALL_SECONDS) as client, translated_errors():
            yield client
    except TidemillError as error:
        if is_unreachable(error):
            raise NothingRuns(target) from error
        failure = NotNow if error.code in _PASSING else CommandFailed
        raise failure(explanation(error), REQUEST_FAILED) from error


def is_unreachable(error: TidemillError) -> bool:
    """Whether no server answered. A server that misses something itself says a reason."""
    return error.code is grpc.StatusCode.UNAVAILABLE and error.reason == "UNAVAILABLE"


def explanation(error: TidemillError) -> str:
    """An error in one sentence: what happened, its reason, and when to try again."""
    text = f"{error.message} ({error.reason})"
    if error.retry_after_seconds is not None:
        text += f"; try again in {error.retry_after_seconds:g} s"
    return text


def current_user() -> str:
    """Who changes something, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "tidemill-cli"


class _Page(Protocol):
    @property
    def next_page_token(self) -> str: ...


PageT = TypeVar("PageT", bound=_Page)
RowT = TypeVar("RowT", bound=Message)


def collect(
    fetch: Callable[[int, str], PageT], rows_of: Callable[[PageT], Sequence[RowT]], limit: int
) -> list[RowT]:
    """Rows from as many pages as it takes.

    Args:
        fetch: returns a page, given its size and its token.
        rows_of: returns a page's rows.
        limit: rows at most.
    """
    rows: list[RowT] = []
    token = ""
    while True:
        page = fetch(min(limit - len(rows), _LARGEST_PAGE), token)
        rows += rows_of(page)
        token = page.next_page_token
        if not token or len(rows) >= limit:
            return rows[:limit]
