"""The sink `smtp`: a mail for each notification; the mails of an alert form a thread."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime

from tidemill_core.settings.alerts import SmtpSettings
from tidemill_jobs.monitoring.alerts.sink import TIMEOUT_SECONDS, NotDelivered, Notification
from tidemill_jobs.monitoring.unanswered import why_unanswered

_PERMANENT = 500


class SmtpSink:
    """Mails each notification to all recipients."""

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings

    def send(self, notification: Notification) -> None:
        """Mail the notification."""
        settings = self._settings
        mail = _mail(notification, settings)
        try:
            with self._connected() as server:
                if settings.username:
                    server.login(settings.username, settings.password.get_secret_value())
                refused = server.send_message(mail)
        except smtplib.SMTPResponseException as error:
            if error.smtp_code < 0:
                raise NotDelivered("no answer: it does not speak SMTP") from error
            is_refused = error.smtp_code >= _PERMANENT
            raise NotDelivered(f"the server answered {error.smtp_code}", is_refused) from error
        except smtplib.SMTPRecipientsRefused as error:
            raise NotDelivered("the server refused the recipients", is_refused=True) from error
        except UnicodeError:  # it holds the password
            rule = "alerts.smtp: host, username, password and addresses must be ASCII"
            raise NotDelivered(rule, is_refused=True) from None
        except (smtplib.SMTPException, OSError) as error:
            raise NotDelivered(f"no answer: {why_unanswered(error)}") from error
        if refused and len(refused) == len(settings.recipients):
            raise NotDelivered("the server refused the recipients", is_refused=True)

    def _connected(self) -> smtplib.SMTP:
        host, port, tls = self._settings.host, self._settings.port, self._settings.tls
        if tls == "tls":
            trusted = ssl.create_default_context()
            return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=trusted)
        server = smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
        if tls == "starttls":
            try:
                server.starttls(context=ssl.create_default_context())
            except BaseException:
                server.close()
                raise
        return server


def _mail(notification: Notification, settings: SmtpSettings) -> EmailMessage:
    alert = notification.alert
    thread = f"<{alert.alert_id}@alerts.tidemill>"
    mail = EmailMessage()
    mail["From"], mail["To"] = settings.sender, ", ".join(settings.recipients)
    mail["Subject"] = f"[Tidemill] {notification.title}"
    mail["Date"] = format_datetime(notification.time)
    mail["Message-ID"] = f"<{notification.delivery_id}@alerts.tidemill>"
    mail["References"] = thread
    lines = [notification.message, "", alert.advice, ""]
    lines += [f"Report: {notification.report}"] if notification.report else []
    lines += [f"Version: {alert.model_version or '-'}", f"Alert: {alert.alert_id}"]
    mail.set_content("\n".join(lines) + "\n")
    return mail
