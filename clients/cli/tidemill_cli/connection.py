"""The connection of a command to the server, and the failures of its calls."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from tidemill_cli.failure import CommandFailed, NotNow, WrongUsage
from tidemill_cli.listing import CALL_SECONDS
from tidemill_cli.target import Target, target_of, trusting
from tidemill_cli.unreachable import why_unreachable
from tidemill_client import (
    InvalidRequest,
    NotFound,
    TidemillClient,
    TidemillError,
    Tls,
    Unauthenticated,
    translated_errors,
)

_TEMPORARY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


def new_client(target: Target) -> TidemillClient:
    """Return a client with the caller's key and certificates.

    Raises:
        WrongUsage: a certificate cannot be read, or the API key would travel unencrypted.
    """
    caller = target.caller
    if target.roots is not None:
        trusting(target)  # before gRPC, which writes to stderr what is wrong with a file
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
    except ValueError as error:
        raise WrongUsage(f"cannot connect: {error}") from error


@contextmanager
def connected(address: str) -> Iterator[TidemillClient]:
    """Yield a client, and raise the errors of its calls as failures of the command."""
    target = target_of(address)
    try:
        with new_client(target) as client, translated_errors():
            yield client
    except TidemillError as error:
        if is_unreachable(error):
            raise why_unreachable(target) from error
        if error.reason == "MISSING_CREDENTIAL":
            raise WrongUsage(f"{explanation(error)}: set TIDEMILL_API_KEY") from error
        if isinstance(error, InvalidRequest | NotFound | Unauthenticated):
            raise WrongUsage(explanation(error)) from error
        failure = NotNow if error.code in _TEMPORARY else CommandFailed
        raise failure(explanation(error)) from error


def is_unreachable(error: TidemillError) -> bool:
    """Return whether no server answered; a server that cannot reach its storage gives a reason."""
    return error.code is grpc.StatusCode.UNAVAILABLE and error.reason == "UNAVAILABLE"


def explanation(error: TidemillError) -> str:
    """Return a sentence on an error: what happened, its reason, and when to try again."""
    text = f"{error.message} ({error.reason})"
    if error.retry_after_seconds is not None:
        text += f"; try again in {error.retry_after_seconds:g} s"
    return text


def current_user() -> str:
    """Return the name of the user who runs this command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "tidemill-cli"
