"""Settings: `tidemill.toml` in the workspace, then `TIDEMILL_*` in the environment.

Only this package reads the environment. A nested setting's variable joins the names with two
underscores: `TIDEMILL_FEEDBACK__RETRAIN_AFTER=500`. Relative paths are relative to the workspace,
the folder in which Tidemill is started.
"""

from tidemill_core.settings.alerts import AlertSettings
from tidemill_core.settings.arize import ArizeSettings
from tidemill_core.settings.feedback import FeedbackSettings, LabelingSettings
from tidemill_core.settings.folders import absolute_folder
from tidemill_core.settings.forms import TASK_NAME
from tidemill_core.settings.labels import LabelNames
from tidemill_core.settings.problems import WORKSPACE_FILE, NoTask, problems_named
from tidemill_core.settings.schedule import ScheduleSettings
from tidemill_core.settings.sections import (
    AuthSettings,
    GateSettings,
    MonitoringSettings,
    PredictionLogSettings,
    ServerSettings,
    TaskSettings,
    TlsSettings,
    TritonSettings,
)
from tidemill_core.settings.source_variables import unset_variables
from tidemill_core.settings.sources import FilesSource, HttpSource, SourceSettings, SqlSource
from tidemill_core.settings.task_kind import TaskKind
from tidemill_core.settings.tracing import TracingSettings
from tidemill_core.settings.workspace import (
    Port,
    Settings,
    load_settings,
    settings_with_tasks,
)

__all__ = [
    "TASK_NAME",
    "WORKSPACE_FILE",
    "AlertSettings",
    "ArizeSettings",
    "AuthSettings",
    "FeedbackSettings",
    "FilesSource",
    "GateSettings",
    "HttpSource",
    "LabelNames",
    "LabelingSettings",
    "MonitoringSettings",
    "NoTask",
    "Port",
    "PredictionLogSettings",
    "ScheduleSettings",
    "ServerSettings",
    "Settings",
    "SourceSettings",
    "SqlSource",
    "TaskKind",
    "TaskSettings",
    "TlsSettings",
    "TracingSettings",
    "TritonSettings",
    "absolute_folder",
    "load_settings",
    "problems_named",
    "settings_with_tasks",
    "unset_variables",
]
