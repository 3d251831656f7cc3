"""Alerts by mail, against servers that speak SMTP."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from pydantic import SecretStr

from tests.integration.jobs.monitoring.alerts.conftest import notification
from tests.integration.server.certificates import Authority
from tests.plugins.receivers import MailReceiver, mail_receiver
from tidemill_core.domain.alert import AlertEvent
from tidemill_core.settings import AlertSettings
from tidemill_core.settings.alerts import (
    SmtpSettings,
)
from tidemill_jobs.monitoring.alerts.sink import NotDelivered
from tidemill_jobs.monitoring.alerts.sinks import open_sink


def test_mails_form_a_thread(mailbox: MailReceiver) -> None:
    """Each event is a mail, a repetition has the same Message-ID, and an alert has one thread."""
    settings = SmtpSettings(
        host="127.0.0.1",
        port=mailbox.port,
        tls="none",
        sender="mill@example.com",
        recipients=["ana@example.com", "ben@example.com"],
    )
    sink = open_sink("smtp", AlertSettings(smtp=settings))
    for event in (AlertEvent.TRIGGER, AlertEvent.TRIGGER, AlertEvent.RESOLVE):
        sink.send(notification(event))
    first, again, resolved = mailbox.mails
    assert first["Subject"] == "[Tidemill] Critical: support: accuracy"
    assert resolved["Subject"] == "[Tidemill] Resolved: support: accuracy"
    assert (first["From"], first["To"]) == (
        *("mill@example.com", "ana@example.com, ben@example.com"),
    )
    assert first["Message-ID"] == again["Message-ID"] == f"<{'c' * 32}@alerts.tidemill>"
    assert first["References"] == resolved["References"]
    text = first.get_content()
    assert "accuracy 0.700 <@U1> & *below* limit 0.870" in text
    assert "Retrain." in text
    assert f"tidemill reports show {'b' * 32}" in text


@pytest.mark.parametrize(("answer", "refused"), [("451 later", False), ("550 no", True)])
def test_a_mail_server_that_does_not_take_a_mail(
    mailbox: MailReceiver, answer: str, refused: bool
) -> None:
    """A temporary answer asks to try again soon, and a permanent one refuses the mail."""
    mailbox.answer = answer
    settings = SmtpSettings(
        host="127.0.0.1",
        port=mailbox.port,
        tls="none",
        sender="mill@example.com",
        recipients=["ana@example.com"],
    )
    with pytest.raises(NotDelivered, match=answer[:3]) as raised:
        open_sink("smtp", AlertSettings(smtp=settings)).send(notification())
    assert raised.value.is_refused is refused


def _server_context(authority: Authority, folder: Path) -> ssl.SSLContext:
    """Return the TLS of a mail server on this machine."""
    certificate, key = folder / "mail.pem", folder / "mail.key"
    authority.issue().write(certificate, key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


def _authenticate(_server: SMTP, _session: object, _envelope: object, _way: str, given: Any) -> Any:
    return AuthResult(success=given == LoginPassword(b"mill", b"hush"), handled=False)


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_mail_over_tls_with_a_login(
    tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A server gets the mail, but not with a wrong password, nor if its authority is unknown.

    Authorities of the system count, and those of the file in SSL_CERT_FILE.
    """
    authority = Authority("the company")
    (tmp_path / "authority.pem").write_bytes(authority.certificate)
    context = _server_context(authority, tmp_path)
    way = {"tls_context": context, "require_starttls": True, "auth_required": True}
    if tls == "tls":
        way = {"ssl_context": context, "auth_require_tls": False}
    with mail_receiver(**way, authenticator=_authenticate) as mailbox:
        settings = SmtpSettings(
            host="127.0.0.1",
            port=mailbox.port,
            tls=tls,
            username="mill",
            password=SecretStr("hush"),
            sender="mill@example.com",
            recipients=["ana@example.com"],
        )
        wrong = settings.model_copy(update={"password": SecretStr("loud")})
        with pytest.raises(NotDelivered, match="no answer: its certificate is not trusted: "):
            open_sink("smtp", AlertSettings(smtp=settings)).send(notification())
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        with pytest.raises(NotDelivered, match="answered 535") as raised:
            open_sink("smtp", AlertSettings(smtp=wrong)).send(notification())
        for name, value in (("password", SecretStr("hüsh")), ("host", "a..b")):
            odd = settings.model_copy(update={name: value})
            with pytest.raises(NotDelivered, match="must be ASCII"):
                open_sink("smtp", AlertSettings(smtp=odd)).send(notification())
        assert not mailbox.mails
        open_sink("smtp", AlertSettings(smtp=settings)).send(notification())
    assert [mail["Subject"] for mail in mailbox.mails] == ["[Tidemill] Critical: support: accuracy"]
    printed = capfd.readouterr()
    for secret in ("hush", "loud"):
        assert secret not in str(raised.value) + printed.out + printed.err + repr(settings)
