"""Why no call reached a server: nothing listens, or the two sides disagree about TLS."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidemill_cli.failure import CommandFailed, NothingRuns, NotNow, WrongUsage
from tidemill_cli.target import Target
from tidemill_core.settings import WORKSPACE_FILE

_SECONDS = 3.0
_ROOTS = "TIDEMILL_ROOT_CERTIFICATES"
_CLIENT = "TIDEMILL_CLIENT_CERTIFICATE and TIDEMILL_CLIENT_KEY"


def why_unreachable(target: Target) -> CommandFailed:
    """Return why no call reached a server, with what to do."""
    try:
        with _secured(target, _trusting_all()):
            pass
    except ssl.SSLError as error:
        if "ALERT" not in (error.reason or ""):  # what answers does not speak TLS
            return _without_tls(target)
    except (OSError, ValueError):  # ValueError: an address that is not host:port
        return _nothing(target)
    if target.roots is None:
        return WrongUsage(
            f"the server at {target.address} uses TLS: set {_ROOTS} to the PEM file of the root "
            "that its certificate comes from, or to `system`"
        )
    return _of_certificates(target)


def _without_tls(target: Target) -> CommandFailed:
    if target.roots is None:
        return _nothing(target)
    return WrongUsage(
        f"the server at {target.address} does not use TLS: "
        + (f"unset {_ROOTS}" if target.caller.root_certificates else "restart `tidemill up`")
    )


def _of_certificates(target: Target) -> CommandFailed:
    """Return what a server that uses TLS and this client disagree about."""
    caller = target.caller
    try:
        context = _trusting(target)
    except OSError as error:  # of which ssl.SSLError is one
        return WrongUsage(f"{_ROOTS}, {_CLIENT}: a file cannot be used: {error}")
    try:
        with _secured(target, context) as connection:
            # HTTP/2 servers speak first; one that refuses a client just ends the connection.
            refused = not connection.recv(1)
    except ssl.SSLCertVerificationError as error:
        return WrongUsage(
            f"the certificate of the server at {target.address} cannot be trusted "
            f"({error.verify_message}): check the address and {_ROOTS}"
        )
    except ssl.SSLError:
        refused = True
    except OSError:
        refused = False
    if not refused:
        return NotNow(f"the server at {target.address} ends the connection: try again")
    if caller.client_certificate is None:
        said = f"asks for a client certificate: set {_CLIENT}"
    else:
        said = f"refuses the client certificate: check {_CLIENT}"
    return WrongUsage(f"the server at {target.address} {said}")


@contextmanager
def _secured(target: Target, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """Give a connection to the block after its handshake.

    Raises:
        OSError: nothing listens there, or one side refuses the other.
        ValueError: the address is not host:port.
    """
    host, _, port = target.address.rpartition(":")
    host = host.strip("[]")
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, int(port)), timeout=_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=target.server_name or host) as secured,
    ):
        yield secured


def _trusting(target: Target) -> ssl.SSLContext:
    """Return what trusts and shows as much as the client does.

    Raises:
        OSError: a file cannot be read, or is not what it should be.
    """
    roots = None if target.roots == "system" else str(target.roots)
    context = ssl.create_default_context(cafile=roots)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    caller = target.caller
    if caller.client_certificate is not None:
        context.load_cert_chain(caller.client_certificate, caller.client_key)
    return context


def _trusting_all() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _nothing(target: Target) -> CommandFailed:
    here = Path(WORKSPACE_FILE).absolute()
    if target.named or here.exists():
        return NothingRuns(
            f"nothing answers at {target.address}: start it by `tidemill up` in its workspace, or "
            "name another server by --address"
        )
    return NothingRuns(
        f"nothing answers at {target.address}, which is asked because there is no {here}: change "
        "to a workspace's folder, or name the server by --address"
    )
