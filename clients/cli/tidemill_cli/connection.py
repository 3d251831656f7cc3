"""From a command to the server: its client, and what a call's failure means."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import grpc
import typer

from tidemill_cli.failure import CommandFailed, NotNow, WrongUsage
from tidemill_cli.listing import CALL_SECONDS
from tidemill_cli.target import Target, target_of
from tidemill_cli.unreachable import why_unreachable
from tidemill_client import TidemillClient, TidemillError, Tls, translated_errors

_PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}

Address = Annotated[
    str,
    typer.Option(
        envvar="TIDEMILL_ADDRESS",
        metavar="HOST:PORT",
        help="The server; without it, the one of this folder's tidemill.toml. Variables for keys "
        "and TLS are in `tidemill --help`.",
        show_default=False,
    ),
]


def new_client(target: Target) -> TidemillClient:
    """Return a client with the caller's key and certificates.

    Raises:
        WrongUsage: a certificate cannot be read, or the key would travel in clear.
    """
    caller = target.caller
    try:
        return TidemillClient(
            target.address,
            api_key=None if caller.api_key is None else caller.api_key.get_secret_value(),
            tls=target.roots is not None
            and Tls(
                root_certificates=None if target.roots == "system" else target.roots,
                certificate=caller.client_certificate,
                private_key=caller.client_key,
                server_name=target.server_name,
            ),
            insecure=caller.insecure,
            timeout=CALL_SECONDS,
        )
    except (OSError, ValueError) as error:
        raise WrongUsage(f"no connection can be made: {error}") from error


@contextmanager
def connected(address: str) -> Iterator[TidemillClient]:
    """Give a client to the block; what its calls raise becomes a failure of the command."""
    target = target_of(address)
    try:
        with new_client(target) as client, translated_errors():
            yield client
    except TidemillError as error:
        if is_unreachable(error):
            raise why_unreachable(target) from error
        if error.reason == "UNKNOWN_TASK":
            raise WrongUsage(explanation(error)) from error
        failure = NotNow if error.code in _PASSING else CommandFailed
        raise failure(explanation(error)) from error


def is_unreachable(error: TidemillError) -> bool:
    """Return whether no server answered: one that is away from something gives a reason."""
    return error.code is grpc.StatusCode.UNAVAILABLE and error.reason == "UNAVAILABLE"


def explanation(error: TidemillError) -> str:
    """Return an error in one sentence: what happened, its reason, and when to try again."""
    text = f"{error.message} ({error.reason})"
    if error.retry_after_seconds is not None:
        text += f"; try again in {error.retry_after_seconds:g} s"
    return text


def current_user() -> str:
    """Return who changes something, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "tidemill-cli"
