"""TLS on the port: certificates from PEM files, read again when the files change.

gRPC asks for the certificates at every new connection, so a renewed one is used from the next
connection on. Open connections keep theirs.
"""

import threading
from pathlib import Path

import grpc
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


def server_credentials(tls: TlsSettings) -> grpc.ServerCredentials | None:
    """Return credentials for `Server.add_secure_port`; None if TLS is not configured.

    Raises:
        ConfigurationError: a setting is missing, or a file is missing or broken.
    """
    if tls.certificate is None and tls.private_key is None and tls.client_ca is None:
        return None
    if tls.certificate is None or tls.private_key is None:
        message = "TLS needs both tls.certificate and tls.private_key; tls.client_ca is optional"
        raise ConfigurationError(message)
    renewal = _Renewal(tls.certificate, tls.private_key, tls.client_ca)
    return grpc.dynamic_ssl_server_credentials(
        renewal.first,
        renewal.if_changed,  # type: ignore[arg-type]  # the stubs do not allow None
        require_client_authentication=tls.client_ca is not None,
    )


class _Renewal:
    """The reader of the files, at the start and after changes.

    Attributes:
        first: the configuration at the start.

    Raises:
        ConfigurationError: a file is missing or broken, or the key is not the certificate's.
    """

    def __init__(self, certificate: Path, private_key: Path, client_ca: Path | None) -> None:
        self._paths = [certificate, private_key, *([client_ca] if client_ca else [])]
        self._lock = threading.Lock()
        self._complained_of = ""
        self._seen = [_read(path) for path in self._paths]
        self.first = self._configuration(*self._seen)

    def if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the configuration from this connection on; None for no change.

        gRPC calls this from its own threads, where it must not raise. If files are missing or
        broken, the old configuration stays, and the error is logged once.
        """
        with self._lock:
            try:
                found = [_read(path) for path in self._paths]
                self._complained_of = ""
                if found == self._seen:
                    return None
                self._seen = found
                return self._configuration(*found)
            except ConfigurationError as error:
                if str(error) != self._complained_of:
                    self._complained_of = str(error)
                    log.error("certificate_not_renewed", detail=str(error))
                return None

    def _configuration(
        self, certificate: bytes, key: bytes, roots: bytes | None = None
    ) -> grpc.ServerCertificateConfiguration:
        certificate_path, key_path = self._paths[:2]
        leaf = _first_certificate(certificate_path, certificate)
        if _public_key(key_path, key) != _der(leaf.public_key()):
            message = f"{key_path} is not the key of the certificate in {certificate_path}"
            raise ConfigurationError(message)
        if roots is not None:
            _first_certificate(self._paths[2], roots)
        log.info(
            "certificate_read", file=str(certificate_path), until=str(leaf.not_valid_after_utc)
        )
        return grpc.ssl_server_certificate_configuration([(key, certificate)], roots)


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
