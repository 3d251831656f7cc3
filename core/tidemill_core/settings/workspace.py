"""All settings of a workspace, and where they come from."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from tidemill_core.settings.folders import absolute_folder
from tidemill_core.settings.problems import (
    PREFIX,
    WORKSPACE_FILE,
    problems_named,
    refuse_unknown_variables,
)
from tidemill_core.settings.sections import (
    AuthSettings,
    FeedbackSettings,
    GateSettings,
    LabelingSettings,
    MonitoringSettings,
    PredictionLogSettings,
    ScheduleSettings,
    ServerSettings,
    TaskSettings,
    TlsSettings,
    TracingSettings,
    TritonSettings,
)
from tidemill_core.settings.sources import HttpSource, SqlSource

TASK_NAME = r"^[a-z][a-z0-9_]{0,39}$"

Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """All that a user can set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    tasks: dict[Annotated[str, Field(pattern=TASK_NAME)], TaskSettings] = {}
    """The tasks by name."""
    state_dir: Path = Path("var")
    """Holds the database, datasets, spool, keys and logs. Private to Tidemill."""
    model_repository: Path = Path("model_repository")
    """Triton's model repository. Whoever can write to it can run code."""
    database_url: str = ""
    """SQLAlchemy URL of a PostgreSQL (`postgresql+psycopg://…`); empty is SQLite in state_dir."""
    prediction_id_keys: SecretStr = SecretStr("")
    """Keys that sign prediction ids, where several machines share them: JSON, 32 bytes in
    hexadecimal by their ids. The highest id signs, all verify. Empty takes the file
    `prediction_id_keys.json` in state_dir, which the first start makes."""
    mlflow_tracking_uri: str = ""
    """Where training is tracked; empty is a local store in state_dir."""
    grpc_host: str = "127.0.0.1"
    """Address that the gRPC front listens on."""
    grpc_port: Port = 50051
    """Port that the gRPC front listens on."""
    metrics_host: str = "127.0.0.1"
    """Address that the Prometheus metrics are served on."""
    metrics_port: Port = 9464
    """Port that the Prometheus metrics are served on."""
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
    prediction_log: PredictionLogSettings = PredictionLogSettings()
    tracing: TracingSettings = TracingSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    labeling: LabelingSettings = LabelingSettings()
    gate: GateSettings = GateSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    schedule: ScheduleSettings = ScheduleSettings()

    @field_validator("state_dir", "model_repository")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return absolute_folder(path)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment before file."""
        file = TomlConfigSettingsSource(settings_cls, WORKSPACE_FILE)
        return init_settings, env_settings, file

    @property
    def effective_database_url(self) -> str:
        """The database's URL, the default filled in."""
        return self.database_url or _sqlite_url("sqlite", self.state_dir / "tidemill.db")

    @property
    def effective_mlflow_tracking_uri(self) -> str:
        """MLflow's tracking URI, the default filled in."""
        # With the driver in the scheme: for `sqlite:` MLflow makes folders by the URL's own text.
        local = self.state_dir / "mlflow.db"
        return self.mlflow_tracking_uri or _sqlite_url("sqlite+pysqlite", local)

    @property
    def triton_address(self) -> str:
        """host:port of the Triton that answers."""
        return self.triton.url or f"127.0.0.1:{self.triton_grpc_port}"


def _sqlite_url(scheme: str, path: Path) -> str:
    # The import takes long, and most commands need no database.
    from sqlalchemy import URL

    return URL.create(scheme, database=str(path)).render_as_string()


def load_settings() -> Settings:
    """Read the workspace's settings.

    Raises:
        ConfigurationError: a setting is unknown or wrong; names it and the rule.
    """
    with problems_named(Settings):
        settings = Settings()
    refuse_unknown_variables(Settings, _variables_of_sources(settings))
    return settings


def _variables_of_sources(settings: Settings) -> list[str]:
    sources = [source for task in settings.tasks.values() for source in task.sources]
    named = [source.url_env for source in sources if isinstance(source, SqlSource)]
    named += [source.token_env for source in sources if isinstance(source, HttpSource)]
    return [variable for variable in named if variable is not None]
