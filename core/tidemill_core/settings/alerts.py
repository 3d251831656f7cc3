"""The section `[alerts]`: where alerts are sent."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from tidemill_core.domain.alert import AlertKind, Severity
from tidemill_core.settings.forms import HttpUrl, MailAddress, SecretHttpUrl, of_form
from tidemill_core.settings.section import Section

_Secret = Annotated[SecretStr, Field(min_length=1)]
_ReportUrl = Annotated[
    str,
    of_form(
        r"(https?://\S*\{report_id\}\S*)?",
        "must be a URL with {report_id} in it, such as https://example.com/reports/{report_id}",
    ),
]
SinkName = Literal["log", "slack", "pagerduty", "webhook", "smtp"]


class SlackSettings(Section):
    """A Slack channel."""

    webhook_url: SecretHttpUrl
    """URL of the channel's incoming webhook."""


class PagerDutySettings(Section):
    """A PagerDuty service with an integration of Events API v2."""

    routing_key: _Secret
    """The integration key."""
    url: HttpUrl = "https://events.pagerduty.com"
    """Address of the Events API; https://events.eu.pagerduty.com in Europe."""


class WebhookSettings(Section):
    """Any receiver of HTTP requests."""

    url: SecretHttpUrl
    """URL that gets a POST for each event."""
    secret: _Secret
    """Key of the signature in the header `Tidemill-Signature`."""


class SmtpSettings(Section):
    """Mail."""

    host: str = Field(min_length=1)
    """Name of the mail server."""
    port: int = Field(default=587, ge=1, le=65535)
    """Its port."""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted: after it is open, from the start, or not at all."""
    username: str = ""
    """Name to log in with; empty does not log in."""
    password: SecretStr = SecretStr("")
    """The name's password."""
    sender: MailAddress
    """Address that the mail is from."""
    recipients: list[MailAddress] = Field(min_length=1)
    """Addresses that the mail is for."""


class RouteSettings(Section):
    """The sinks of some alerts."""

    tasks: list[str] = []
    """Tasks whose alerts it takes; empty takes all."""
    kinds: list[AlertKind] = []
    """Kinds of alerts that it takes, such as `drift`; empty takes all."""
    min_severity: Severity = Severity.WARNING
    """Lowest severity that it takes: WARNING or CRITICAL."""
    sinks: list[SinkName]
    """Where to send them; empty sends them nowhere."""


class AlertSettings(Section):
    """Where alerts are sent. They are always written to the log of the jobs too."""

    slack: SlackSettings | None = None
    pagerduty: PagerDutySettings | None = None
    webhook: WebhookSettings | None = None
    smtp: SmtpSettings | None = None
    routes: list[RouteSettings] = []
    """The first route that takes an alert decides; without one it goes to all sinks."""
    cool_down_minutes: float = Field(default=60.0, ge=0.0, le=10_080)
    """How long after it was resolved a problem that returns is not sent, in minutes."""
    report_url: _ReportUrl = ""
    """Address of your page of a report, with `{report_id}` in it; empty names the command that
    shows the report."""

    @property
    def cool_down(self) -> timedelta:
        """How long after it was resolved a problem that returns is not sent."""
        return timedelta(minutes=self.cool_down_minutes)

    @property
    def configured(self) -> list[str]:
        """The names of the sinks that alerts can be sent to."""
        sections = ("slack", "pagerduty", "webhook", "smtp")
        return ["log", *(name for name in sections if getattr(self, name) is not None)]

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> Self:
        for route in self.routes:
            for sink in route.sinks:
                if sink not in self.configured:
                    raise ValueError(f"a route names {sink}, but there is no section alerts.{sink}")
        return self

    def sinks_for(self, task: str, kind: str, severity: Severity) -> list[str]:
        """Return the names of the sinks of an alert, the log first."""
        for route in self.routes:
            if (
                (not route.tasks or task in route.tasks)
                and (not route.kinds or kind in route.kinds)
                and severity.rank >= route.min_severity.rank
            ):
                return ["log", *(sink for sink in dict.fromkeys(route.sinks) if sink != "log")]
        return self.configured
