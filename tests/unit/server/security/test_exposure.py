"""The port's exposure, and what is logged about it."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tidemill_core.settings import AuthSettings, Settings, TlsSettings
from tidemill_server.security.exposure import check_exposure

TLS = TlsSettings(certificate=Path("c"), private_key=Path("k"))


def _settings(host: str, required: bool | None, tls: TlsSettings | None = None) -> Settings:
    return Settings(
        grpc_host=host, auth=AuthSettings(required=required), tls=tls or TlsSettings(), tasks={}
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_credential_by_default(host: str) -> None:
    """Only this machine can reach loopback, and the log says so."""
    assert not _settings(host, None).requires_credentials
    assert _settings(host, True).requires_credentials
    with capture_logs() as logged:
        check_exposure(_settings(host, None))
    assert [(entry["event"], entry["log_level"]) for entry in logged] == [("loopback_only", "info")]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "10.0.0.7", "mill.example", ""])  # noqa: S104 -- not bound
def test_every_other_address_needs_one(host: str) -> None:
    """Other addresses need a credential, unless the setting says otherwise."""
    assert _settings(host, None).requires_credentials
    assert not _settings(host, False).requires_credentials
    assert Settings(http_host=host, tasks={}).requires_credentials
    with capture_logs() as logged:
        check_exposure(Settings(http_host=host, tasks={}))
    assert [entry["event"] for entry in logged] == ["keys_travel_in_clear"]


@pytest.mark.parametrize(
    ("required", "tls", "warning"),
    [
        (None, None, "keys_travel_in_clear"),
        (True, None, "keys_travel_in_clear"),
        (False, None, "open_to_everybody"),
        (False, TLS, "open_to_everybody"),
        (None, TLS, None),
    ],
)
def test_what_is_risky_is_told(
    required: bool | None, tls: TlsSettings | None, warning: str | None
) -> None:
    """A risk is logged with its remedy; with TLS and credentials there is no warning."""
    with capture_logs() as logged:
        check_exposure(_settings("10.0.0.7", required, tls))
    assert [entry["event"] for entry in logged] == ([warning] if warning else [])
    assert all(entry["log_level"] == "warning" and entry["remedy"] for entry in logged)
