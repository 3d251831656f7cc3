"""All settings of a workspace, and their sources."""

import math
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from tidemill_core.loopback import is_loopback
from tidemill_core.settings.alerts import AlertSettings
from tidemill_core.settings.arize import ArizeSettings
from tidemill_core.settings.feedback import FeedbackSettings, LabelingSettings
from tidemill_core.settings.folders import NamedPath, absolute_folder, sqlite_url, storage_url
from tidemill_core.settings.forms import TaskName
from tidemill_core.settings.problems import (
    PREFIX,
    WORKSPACE_FILE,
    NoTask,
    problems_named,
    refuse_unknown_variables,
)
from tidemill_core.settings.ray import RaySettings
from tidemill_core.settings.sagemaker import SagemakerSettings
from tidemill_core.settings.schedule import ScheduleSettings
from tidemill_core.settings.secret_files import read_secret_files
from tidemill_core.settings.sections import (
    CHECKED_WINDOWS,
    AuthSettings,
    GateSettings,
    MonitoringSettings,
    PredictionLogSettings,
    ServerSettings,
    TaskSettings,
    TlsSettings,
    TritonSettings,
)
from tidemill_core.settings.source_variables import named_variables
from tidemill_core.settings.tracing import TracingSettings
from tidemill_core.settings.tracking import TrackingSettings, mlflow_uri
from tidemill_core.triton.addresses import with_stand_in

Port = Annotated[int, Field(ge=1, le=65535)]
StorageUrl = Annotated[str, AfterValidator(storage_url)]


class Settings(BaseSettings):
    """All settings."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    tasks: dict[TaskName, TaskSettings] = {}
    """The tasks, by name."""
    state_dir: NamedPath = Path("var")
    """Folder of the database, datasets, spool, keys and logs. Private to Tidemill."""
    model_repository: NamedPath = Path("model_repository")
    """Triton's model repository. Anyone who can write to it can run code."""
    dataset_storage: StorageUrl = ""
    """Where dataset versions are stored, besides state_dir: `s3://bucket/folder`, or any other URL
    that fsspec writes to. Machines without a version fetch it from there. Empty: state_dir only."""
    model_storage: StorageUrl = ""
    """Where model versions are stored, besides model_repository: such a URL. Machines without a
    version fetch it, and with triton.url that Triton may read them there. Anyone who can write
    there can run code. Empty: model_repository only."""
    database_url: str = ""
    """SQLAlchemy URL of a PostgreSQL (`postgresql+psycopg://…`); empty: SQLite in state_dir."""
    prediction_id_keys: SecretStr = SecretStr("")
    """Keys that sign prediction ids, if several machines share them: JSON that maps key ids to 32
    bytes in hexadecimal. The key with the highest id signs; all keys verify. Empty: the keys of
    `prediction_id_keys.json` in state_dir, which the first start creates."""
    mlflow_tracking_uri: Annotated[str, AfterValidator(mlflow_uri)] = ""
    """MLflow's tracking URI; empty: a local store in state_dir."""
    grpc_host: str = "127.0.0.1"
    """Address of the gRPC front."""
    grpc_port: Port = 50051
    """Port of the gRPC front."""
    http_host: str = "127.0.0.1"
    """Address of the HTTP API."""
    http_port: Port = 8080
    """Port of the HTTP API."""
    http_allowed_hosts: tuple[str, ...] = ()
    """More names that callers of the HTTP API may use for the server, such as its DNS name."""
    metrics_host: str = "127.0.0.1"
    """Address of the Prometheus metrics."""
    metrics_port: Port = 9464
    """Port of the Prometheus metrics."""
    triton_grpc_port: Port = 8001
    """gRPC port of the embedded Triton, on loopback."""
    triton_http_port: Port = 8000
    """HTTP port of the embedded Triton, on loopback."""
    triton_metrics_port: Port = 8002
    """Metrics port of the embedded Triton, on loopback."""
    triton: TritonSettings = TritonSettings()
    server: ServerSettings = ServerSettings()
    tls: TlsSettings = TlsSettings()
    auth: AuthSettings = AuthSettings()
    tracing: TracingSettings = TracingSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    labeling: LabelingSettings = LabelingSettings()
    gate: GateSettings = GateSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    prediction_log: PredictionLogSettings = PredictionLogSettings()
    alerts: AlertSettings = AlertSettings()
    arize: ArizeSettings = ArizeSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    tracking: TrackingSettings = TrackingSettings()
    sagemaker: SagemakerSettings = SagemakerSettings()
    ray: RaySettings = RaySettings()

    @field_validator("state_dir", "model_repository")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return absolute_folder(path)

    @field_validator("prediction_log")
    @classmethod
    def _keeps_what_is_read(
        cls, log: PredictionLogSettings, info: ValidationInfo
    ) -> PredictionLogSettings:
        tasks, monitoring = info.data.get("tasks", {}), info.data.get("monitoring")
        if log.retention_days is not None and monitoring is not None:
            hours = [each.rollout.max_hours for each in tasks.values() if each.rollout]
            hours.append(CHECKED_WINDOWS * math.ceil(monitoring.window_hours))
            if log.retention_days < (days := math.ceil(max(hours) / 24)):
                raise ValueError(
                    f"retention_days must be at least {days}: the accuracy check looks back "
                    f"{CHECKED_WINDOWS} times monitoring.window_hours, and a rollout max_hours"
                )
        return log

    @field_validator("alerts")
    @classmethod
    def _routes_name_tasks(cls, alerts: AlertSettings, info: ValidationInfo) -> AlertSettings:
        known = info.data.get("tasks", {})
        for task in (task for route in alerts.routes for task in route.tasks):
            if task not in known:
                raise ValueError(f"a route names the task {task}, but there is no such task")
        return alerts

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources of settings: arguments, the environment, then the file."""
        file = TomlConfigSettingsSource(settings_cls, WORKSPACE_FILE)
        return init_settings, env_settings, file

    @property
    def requires_credentials(self) -> bool:
        """Whether callers need a credential; by default they do unless all is on loopback."""
        if self.auth.required is not None:
            return self.auth.required
        return not all(map(is_loopback, (self.grpc_host, self.http_host)))

    @property
    def effective_database_url(self) -> str:
        """The database's URL, with the default."""
        return self.database_url or sqlite_url(self.state_dir / "tidemill.db")

    @property
    def effective_mlflow_tracking_uri(self) -> str:
        """MLflow's tracking URI, with the default."""
        # The scheme names the driver: for `sqlite:` MLflow creates folders named by the raw URL.
        local = self.state_dir / "mlflow.db"
        return self.mlflow_tracking_uri or sqlite_url(local, "sqlite+pysqlite")

    @property
    def optuna_url(self) -> str:
        """The SQLAlchemy URL of the searches' storage.

        On PostgreSQL it is the schema `optuna`: Optuna and Tidemill have a table of one name.
        """
        if not self.database_url:
            return sqlite_url(self.state_dir / "optuna.db")
        from sqlalchemy import make_url

        url = make_url(self.database_url)
        options = f"{url.query.get('options', '')} -csearch_path=optuna".strip()
        return url.update_query_dict({"options": options}).render_as_string(hide_password=False)

    @property
    def triton_address(self) -> str:
        """host:port of Triton's gRPC endpoint, or several; see `triton.addresses`."""
        return self.triton.url or f"127.0.0.1:{self.triton_grpc_port}"

    @property
    def triton_stand_in_file(self) -> Path:
        """The file with the address of the embedded Triton's stand-in, while there is one."""
        return self.state_dir / "triton-stand-in.address"

    @property
    def triton_target(self) -> str:
        """`triton_address`, with the stand-in of an embedded Triton."""
        address = self.triton_address
        return address if self.triton.url else with_stand_in(address, self.triton_stand_in_file)

    @property
    def triton_metrics_url(self) -> str:
        """URL of Triton's metrics, or several, separated by commas; empty if it is not known."""
        embedded = "" if self.triton.url else f"http://127.0.0.1:{self.triton_metrics_port}/metrics"
        return self.triton.metrics_url or embedded


def load_settings() -> Settings:
    """Read the workspace's settings.

    Raises:
        ConfigurationError: a setting is unknown or wrong; names it and the rule.
    """
    read_secret_files()
    with problems_named(Settings):
        settings = Settings()
    refuse_unknown_variables(
        Settings, [variable for _, variable in named_variables(settings.tasks)]
    )
    return settings


def settings_with_tasks() -> Settings:
    """Read the settings of a workspace; outside one, no process creates a state.

    Raises:
        ConfigurationError: they have no task, or `load_settings` raises it.
    """
    if (settings := load_settings()).tasks:
        return settings
    raise NoTask
