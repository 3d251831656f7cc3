"""The reason why no call reached a server: nothing listens, or the TLS settings do not match."""

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidemill_cli.failure import CommandFailed, NothingRuns, NotNow, WrongUsage
from tidemill_cli.target import CLIENT, ROOTS, Target, trusting
from tidemill_core.settings import WORKSPACE_FILE

_SECONDS = 3.0
_SCHEME = re.compile(r"^(dns:(///)?|ipv4:|ipv6:)")
"""The start of a target that names several servers; the first one is asked."""
_PORT = r"0*[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5]"
_PLACE = rf"(\[[^\]\s]+\]|[^\s:/,\[\]]+):({_PORT})"
_PLACES = re.compile(rf"unix.*|{_PLACE}(,{_PLACE})*")


def why_unreachable(target: Target) -> CommandFailed:
    """Return the failure that says why no call reached a server, and what to do."""
    try:
        with _secured(target, _trusting_all()):
            pass
    except ssl.SSLError as error:
        if "ALERT" not in (error.reason or ""):  # the server does not use TLS
            return _without_tls(target)
    except (OSError, ValueError):  # ValueError: the address is not host:port
        return _nothing(target)
    if target.roots is None:
        return WrongUsage(
            f"the server at {target.address} uses TLS: set {ROOTS} to the PEM file of the root "
            "that signed its certificate, or to `system`"
        )
    return _of_certificates(target)


def _without_tls(target: Target) -> CommandFailed:
    if target.roots is None:
        return _nothing(target)
    return WrongUsage(
        f"the server at {target.address} does not use TLS: "
        + (f"unset {ROOTS}" if target.caller.root_certificates else "restart `tidemill up`")
    )


def _of_certificates(target: Target) -> CommandFailed:
    """Return the failure for a server that uses TLS and a client whose certificates do not fit."""
    caller = target.caller
    try:
        with _secured(target, trusting(target)) as connection:
            # HTTP/2 servers send first; one that refuses a client closes the connection.
            refused = not connection.recv(1)
    except ssl.SSLCertVerificationError as error:
        return WrongUsage(
            f"the certificate of the server at {target.address} cannot be trusted "
            f"({error.verify_message}): check the address and {ROOTS}"
        )
    except ssl.SSLError:
        refused = True
    except OSError:
        refused = False
    if not refused:
        return NotNow(f"the server at {target.address} closes the connection: try again")
    wish = "asks for a" if caller.client_certificate is None else "refuses the"
    cure = "set" if caller.client_certificate is None else "check"
    return WrongUsage(f"the server at {target.address} {wish} client certificate: {cure} {CLIENT}")


@contextmanager
def _secured(target: Target, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """Yield a connection after its TLS handshake.

    Raises:
        OSError: nothing listens at the address, or the handshake fails.
        ValueError: the address is not host:port.
    """
    first = _SCHEME.sub("", target.address).partition(",")[0]
    host, _, port = first.rpartition(":")
    host = host.strip("[]")
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, int(port)), timeout=_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=target.server_name or host) as secured,
    ):
        yield secured


def _trusting_all() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _nothing(target: Target) -> CommandFailed:
    if not _PLACES.fullmatch(_SCHEME.sub("", target.address)):
        return WrongUsage(
            f"{target.address!r} is not the address of a server: write HOST:PORT with its gRPC "
            "port, such as 127.0.0.1:50051"
        )
    here = Path(WORKSPACE_FILE).absolute()
    if target.named or here.exists():
        return NothingRuns(
            f"nothing answers at {target.address}: start it with `tidemill up` in its workspace, "
            "or name another server with --address"
        )
    return NothingRuns(
        f"nothing answers at {target.address}, the default, because there is no {here}: change "
        "to a workspace's folder, or name the server with --address"
    )
