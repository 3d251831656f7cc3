"""TLS on the ports: certificates from PEM files.

A process reads the files when it starts. When they change, the supervisor replaces its workers one
at a time.
"""

from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificatePublicKeyTypes,
    PublicKeyTypes,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from tidemill_core.errors import ConfigurationError
from tidemill_core.settings import TlsSettings

log = structlog.get_logger()


@dataclass(frozen=True)
class Tls:
    """The content of the files, in PEM format; `client_ca` is None if it is not set."""

    certificate: bytes
    private_key: bytes
    client_ca: bytes | None


def read_tls(tls: TlsSettings) -> Tls | None:
    """Return the content of the files; None if TLS is not configured.

    Raises:
        ConfigurationError: a setting is missing, a file is missing or broken, or the key is not
            the certificate's.
    """
    if tls.certificate is None and tls.private_key is None and tls.client_ca is None:
        return None
    if tls.certificate is None or tls.private_key is None:
        message = "TLS needs both tls.certificate and tls.private_key; tls.client_ca is optional"
        raise ConfigurationError(message)
    certificate, key = _read(tls.certificate), _read(tls.private_key)
    leaf = _first_certificate(tls.certificate, certificate)
    if _public_key(tls.private_key, key) != _der(leaf.public_key()):
        message = f"{tls.private_key} is not the key of the certificate in {tls.certificate}"
        raise ConfigurationError(message)
    client_ca = None
    if tls.client_ca is not None:
        client_ca = _read(tls.client_ca)
        _first_certificate(tls.client_ca, client_ca)
    log.info("certificate_read", file=str(tls.certificate), until=str(leaf.not_valid_after_utc))
    return Tls(certificate, key, client_ca)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error


def _first_certificate(path: Path, pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(pem)[0]
    except ValueError as error:
        raise ConfigurationError(f"{path} has no certificate in PEM format") from error


def _public_key(path: Path, pem: bytes) -> bytes:
    """Return the public half of a private key, in DER."""
    try:
        return _der(load_pem_private_key(pem, password=None).public_key())
    except TypeError as error:
        message = f"{path} is encrypted; TLS needs a key without a password"
        raise ConfigurationError(message) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"{path} has no private key in PEM format") from error


def _der(key: CertificatePublicKeyTypes | PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
