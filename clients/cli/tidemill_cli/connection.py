"""From a command to the server: its address, its client, and what a call's failure means."""

import getpass
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import grpc
import typer
from google.protobuf.message import Message
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from tidemill_cli.failure import REQUEST_FAILED, WRONG_USAGE, CommandFailed, NothingRuns, NotNow
from tidemill_client import TidemillClient, TidemillError, Tls, translated_errors
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


class CallerSettings(BaseSettings):
    """What a caller shows and trusts: `TIDEMILL_API_KEY` and so on, in the environment only."""

    model_config = SettingsConfigDict(env_prefix="TIDEMILL_", frozen=True)

    api_key: SecretStr | None = None
    """An API key or a token."""
    root_certificates: str = ""
    """PEM file of the roots that the server's certificate must come from, which turns TLS on;
    `system` stands for the roots that gRPC ships."""
    client_certificate: Path | None = None
    """PEM file of the caller's own certificate."""
    client_key: Path | None = None
    """PEM file of that certificate's key."""
    insecure: bool = False
    """Whether the API key may travel in clear to another machine."""


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


def new_client(address: str = "") -> TidemillClient:
    """A client with the caller's key and certificates, as `CallerSettings` and the workspace say.

    The workspace's own server is known by its certificate's file, whatever name that bears.

    Args:
        address: host:port; empty is the workspace's own server.

    Raises:
        ConfigurationError: no address is given, and the settings cannot be read.
        CommandFailed: a certificate cannot be read, or the key would travel in clear.
    """
    caller = CallerSettings()
    certificate = None if address else load_settings().tls.certificate
    roots = caller.root_certificates or certificate
    try:
        return TidemillClient(
            server_address(address),
            api_key=None if caller.api_key is None else caller.api_key.get_secret_value(),
            tls=roots is not None
            and Tls(
                root_certificates=None if roots == "system" else roots,
                certificate=caller.client_certificate,
                private_key=caller.client_key,
                server_name=None if certificate is None else _name_of(certificate),
            ),
            insecure=caller.insecure,
            timeout=CALL_SECONDS,
        )
    except (OSError, ValueError) as error:
        raise CommandFailed(f"no connection can be made: {error}", WRONG_USAGE) from error


def _name_of(certificate: Path) -> str:
    """A name that a certificate bears.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no certificate, or one without a name.
    """
    # Comes with the server's packages, as whatever serves this workspace does.
    from cryptography import x509

    leaf = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise ValueError(f"{certificate} bears no subject alternative name") from error
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    name: str = next(iter([*names.get_values_for_type(x509.DNSName), *addresses]))
    return name.replace("*", "tidemill")


@contextmanager
def connected(address: str) -> Iterator[TidemillClient]:
    """A client for the block; what its calls raise becomes a failure of the command."""
    target = server_address(address)
    try:
        with new_client(address) as client, translated_errors():
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
