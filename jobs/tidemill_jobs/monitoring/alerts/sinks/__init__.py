"""The sinks, by name. Each is a class that gets its section of the settings."""

from collections.abc import Mapping
from pkgutil import resolve_name

from tidemill_core.errors import ConfigurationError
from tidemill_core.extras import installation
from tidemill_core.settings import AlertSettings
from tidemill_jobs.monitoring.alerts.sink import Sink
from tidemill_jobs.monitoring.alerts.sinks.log import LogSink

SINKS: Mapping[str, str] = {
    "slack": "slack:SlackSink",
    "pagerduty": "pagerduty:PagerDutySink",
    "webhook": "webhook:WebhookSink",
    "smtp": "smtp:SmtpSink",
}
_EXTRAS = {"slack": installation("slack"), "pagerduty": installation("pagerduty")}


def open_sink(name: str, settings: AlertSettings) -> Sink:
    """Return a sink. It is imported here: some need the SDK of an extra.

    Raises:
        ConfigurationError: its extra is not installed, or it has no section.
    """
    if name == "log":
        return LogSink()
    try:
        opened = resolve_name(f"{__name__}.{SINKS[name]}")
    except ModuleNotFoundError as error:
        if name not in _EXTRAS:
            raise
        missing = f"alerts.{name} needs the package {error.name}"
        raise ConfigurationError(f"{missing}: {_EXTRAS[name]}") from error
    section = getattr(settings, name)
    if section is None:
        raise ConfigurationError(f"alerts.{name} is not set")
    sink: Sink = opened(section)
    return sink
