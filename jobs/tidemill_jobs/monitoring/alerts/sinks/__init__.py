"""The sinks, by name. Each is a module with a function `open_sink(settings)`."""

import importlib
from collections.abc import Mapping

from tidemill_core.errors import ConfigurationError
from tidemill_core.extras import installation
from tidemill_core.settings import AlertSettings
from tidemill_jobs.monitoring.alerts.sink import Sink

SINKS: Mapping[str, str] = {
    "log": "tidemill_jobs.monitoring.alerts.sinks.log",
    "slack": "tidemill_jobs.monitoring.alerts.sinks.slack",
    "pagerduty": "tidemill_jobs.monitoring.alerts.sinks.pagerduty",
    "webhook": "tidemill_jobs.monitoring.alerts.sinks.webhook",
    "smtp": "tidemill_jobs.monitoring.alerts.sinks.smtp",
}
_EXTRAS = {"slack": installation("slack"), "pagerduty": installation("pagerduty")}


def open_sink(name: str, settings: AlertSettings) -> Sink:
    """Return a sink. It is imported here: some need the SDK of an extra.

    Raises:
        ConfigurationError: its extra is not installed.
    """
    try:
        sink: Sink = importlib.import_module(SINKS[name]).open_sink(settings)
    except ModuleNotFoundError as error:
        if name not in _EXTRAS:
            raise
        missing = f"alerts.{name} needs the package {error.name}"
        raise ConfigurationError(f"{missing}: {_EXTRAS[name]}") from error
    return sink
