"""The server that a command calls, and how the command authenticates it."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from tidemill_cli.failure import CannotRead, WrongUsage
from tidemill_core.durable import cause
from tidemill_core.settings import Settings, load_settings, problems_named

# Addresses that mean "every interface" are for listening, not for connecting.
_EVERY_INTERFACE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "[::]": "[::1]"}  # noqa: S104 -- compared only
ROOTS = "TIDEMILL_ROOT_CERTIFICATES"
CLIENT = "TIDEMILL_CLIENT_CERTIFICATE and TIDEMILL_CLIENT_KEY"
"""Variables, as errors name them."""


class CallerSettings(BaseSettings):
    """The caller's credentials and trusted roots: `TIDEMILL_API_KEY` and so on, never in a file."""

    model_config = SettingsConfigDict(env_prefix="TIDEMILL_", env_ignore_empty=True, frozen=True)

    api_key: SecretStr | None = None
    """An API key or a token."""
    root_certificates: str = ""
    """PEM file of the roots to trust, which turns TLS on; `system` is the roots that gRPC ships."""
    client_certificate: Path | None = None
    """PEM file of the caller's own certificate."""
    client_key: Path | None = None
    """PEM file of the key of that certificate."""
    insecure: bool = False
    """Whether the API key may travel unencrypted to another machine."""


def caller_settings() -> CallerSettings:
    """Return the caller's settings from the environment.

    Raises:
        ConfigurationError: a variable has a wrong value.
    """
    with problems_named(CallerSettings):
        return CallerSettings()


@dataclass(frozen=True)
class Target:
    """A server, and how a client authenticates it.

    Attributes:
        address: host:port.
        named: whether the caller named it; if not, it is the workspace's own.
        roots: PEM file of the roots to trust, or `system`; None for no TLS.
        server_name: the name that the server's certificate must have; None for the host.
        caller: the caller's credentials.
    """

    address: str
    named: bool
    roots: str | Path | None
    server_name: str | None
    caller: CallerSettings


def target_of(address: str) -> Target:
    """Return the server at an address, or the workspace's own if the address is empty.

    The certificate file of the workspace's own server is trusted, whatever name it has.

    Raises:
        ConfigurationError: there is no address, and the settings cannot be read.
        WrongUsage: the workspace's certificate cannot be read, or the caller has a certificate or
            a key alone.
    """
    caller = caller_settings()
    if (caller.client_certificate is None) != (caller.client_key is None):
        raise WrongUsage(f"{CLIENT} need each other: set both or neither")
    if address := address.strip():
        return Target(address, True, caller.root_certificates or None, None, caller)
    settings = load_settings()
    host = _reachable(settings.grpc_host)
    certificate = settings.tls.certificate
    return Target(
        address=f"{host}:{settings.grpc_port}",
        named=False,
        roots=caller.root_certificates or certificate,
        server_name=None if certificate is None else _name_of(certificate),
        caller=caller,
    )


def trusting(target: Target) -> ssl.SSLContext:
    """Return a TLS context with the roots and the caller's certificate; `target.roots` is set.

    Raises:
        WrongUsage: a file cannot be read, or is not what its variable needs.
    """
    caller = target.caller
    roots = None if target.roots == "system" else str(target.roots)
    try:
        context = ssl.create_default_context(cafile=roots)
    except ssl.SSLError as error:
        raise WrongUsage(f"{ROOTS}: {roots} has no certificates in PEM") from error
    except OSError as error:
        raise CannotRead(Path(str(roots)), error) from error
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if caller.client_certificate is None or caller.client_key is None:
        return context
    for path in (caller.client_certificate, caller.client_key):
        try:
            path.read_bytes()
        except OSError as error:
            raise CannotRead(path, error) from error
    try:  # without a password it would ask for one
        context.load_cert_chain(caller.client_certificate, caller.client_key, password="")
    except ssl.SSLError as error:
        raise WrongUsage(
            f"{CLIENT} must name a certificate and its key in PEM, without a password"
        ) from error
    return context


def http_url(settings: Settings) -> str:
    """Return the URL of the HTTP API of the workspace's own server."""
    host = _reachable(settings.http_host)
    scheme = "http" if settings.tls.certificate is None else "https"
    return f"{scheme}://{host}:{settings.http_port}"


def _reachable(host: str) -> str:
    """Return the host of a URL or a target for an address to listen on."""
    host = _EVERY_INTERFACE.get(host, host)
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _name_of(certificate: Path) -> str:
    """Return one of a certificate's names."""
    # Installed with the server, which this workspace needs anyway.
    from cryptography import x509

    try:
        leaf = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound) as error:
        raise WrongUsage(
            f"tls.certificate: {certificate} cannot be used: {cause(error)}"
        ) from error
    addresses = map(str, names.get_values_for_type(x509.IPAddress))
    name: str = next(iter([*names.get_values_for_type(x509.DNSName), *addresses]))
    return name.replace("*", "tidemill")
