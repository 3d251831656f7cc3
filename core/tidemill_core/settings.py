"""Settings: `tidemill.toml` in the workspace, then `TIDEMILL_*` in the environment.

The one place that reads the environment. A nested setting's variable joins the names by
two underscores: `TIDEMILL_FEEDBACK__RETRAIN_AFTER=500`. Relative paths are relative to the
workspace, the folder that Tidemill is started in.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from tidemill_core.errors import ConfigurationError

WORKSPACE_FILE = "tidemill.toml"
TASK_NAME = r"^[a-z][a-z0-9_]{0,39}$"

Port = Annotated[int, Field(ge=1, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CsvSource(_Section):
    """A CSV file with a header line."""

    path: Path
    """The file."""
    text_column: str = "text"
    """The column that holds the text."""
    label_column: str = "label"
    """The column that holds the label."""


class TaskSettings(_Section):
    """One classification problem."""

    sources: list[CsvSource] = Field(min_length=1)
    """Where its examples come from."""
    format: Literal["onnx", "torchscript"] = "onnx"
    """What its models are exported as."""
    max_text_length: int = Field(default=4096, ge=1, le=100_000)
    """Longest text that is answered or learned from, in characters."""
    abstain_below: float = Field(default=0.0, ge=0.0, le=1.0)
    """Predictions with a lower confidence are marked as abstained."""
    log_sample: float = Field(default=1.0, ge=0.0, le=1.0)
    """Share of the predictions that are written down."""
    store_text: Literal["plain", "hash", "none"] = "plain"
    """What is written down of a prediction's text. Without it, feedback counts, and trains only
    where it carries the text itself."""
    text_retention_days: float | None = Field(default=None, gt=0)
    """After how many days a prediction's text is removed; never, where it is not set."""


class FeedbackSettings(_Section):
    """When feedback makes a new version worth training."""

    retrain_after: int = Field(default=1000, ge=1)
    """New labelled examples from feedback that start a retraining."""


class GateSettings(_Section):
    """What a candidate must show before it may answer."""

    max_accuracy_drop: float = Field(default=0.0, ge=0.0, le=1.0)
    """How far below the champion's its accuracy on the source hold-out may lie. Above 0, accuracy
    may fall by so much with every version."""


class MonitoringSettings(_Section):
    """What the checks look at and when they alert."""

    window_hours: float = Field(default=24.0, gt=0)
    """How far back drift and accuracy look, in hours; latency looks at the last hour."""
    min_predictions: int = Field(default=200, ge=1)
    """With fewer, drift and latency are INSUFFICIENT."""
    min_verdicts: int = Field(default=30, ge=1)
    """With fewer verdicts from feedback, accuracy is INSUFFICIENT."""
    max_accuracy_drop: float = Field(default=0.03, gt=0, lt=1)
    """Alert when the whole interval lies more than this below the version's baseline."""
    max_p99_latency_ms: float = Field(default=50.0, gt=0)
    """Alert when the 99th percentile of the latency lies above, in milliseconds."""


class ScheduleSettings(_Section):
    """When jobs run by themselves. Crontab expressions, in UTC; empty is never."""

    check_feedback: str = "* * * * *"
    """Counts new labelled examples and starts `retrain`."""
    check_drift: str = "0 2 * * *"
    """Compares the day's predictions with the version's reference."""
    check_accuracy: str = "15 2 * * *"
    """Estimates accuracy from the day's feedback."""
    check_latency: str = "*/10 * * * *"
    """Compares the latency with its limit."""
    expire_texts: str = "30 3 * * *"
    """Removes the texts that are older than their task's `text_retention_days`."""


class TritonSettings(_Section):
    """The Triton that answers."""

    url: str = ""
    """host:port of the gRPC endpoint of a Triton that runs already; empty starts our own."""
    control_key: str = ""
    """Key of its model control, where it asks for one; our own Triton makes its own."""


class ServerSettings(_Section):
    """The front's processes."""

    workers: int = Field(default=1, ge=1, le=64)
    """Processes that share the gRPC port."""
    reflection: bool = False
    """Whether callers may ask which services there are."""
    max_queue_delay_ms: float = Field(default=25.0, gt=0)
    """How long a request may wait for its turn, in milliseconds, before fewer are let in."""


class TlsSettings(_Section):
    """TLS on the gRPC port, from PEM files; they are read again when they change."""

    certificate: Path | None = None
    """The server's certificate, and those between it and its root."""
    private_key: Path | None = None
    """The certificate's key."""
    client_ca: Path | None = None
    """Roots that a client's certificate must come from; without it clients need none."""


class AuthSettings(_Section):
    """Who may call."""

    required: bool | None = None
    """Whether callers must show an API key or a token. Where it is not set: on every address but
    loopback."""
    jwks: str = ""
    """File or https URL of the keys (JWKS) that tokens are signed with; empty takes no tokens."""
    issuer: str = ""
    """What a token's `iss` must be; empty takes any."""
    audience: str = "tidemill"
    """What a token's `aud` must name."""


class PredictionLogSettings(_Section):
    """Bounds for predictions that cannot be written to the database for now."""

    max_held_rows: int = Field(default=100_000, ge=1)
    """Kept in the memory of each worker, where the disk cannot be written either."""
    max_spool_mb: int = Field(default=4096, ge=1)
    """Megabytes on disk, all workers together."""


class TracingSettings(_Section):
    """OpenTelemetry traces."""

    otlp_endpoint: str = ""
    """URL of an OTLP/gRPC receiver, such as http://localhost:4317; empty traces nothing."""
    sample: float = Field(default=0.01, ge=0.0, le=1.0)
    """Share of the calls that are traced, where the caller has not decided."""


class Settings(BaseSettings):
    """All that a user can set."""

    model_config = SettingsConfigDict(
        env_prefix="TIDEMILL_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    tasks: dict[Annotated[str, Field(pattern=TASK_NAME)], TaskSettings] = {}
    """The tasks by name."""
    state_dir: Path = Path("var")
    """Holds the database, datasets, spool, keys and logs. Private to Tidemill."""
    model_repository: Path = Path("model_repository")
    """Triton's model repository. Whoever can write to it can run code."""
    database_url: str = ""
    """SQLAlchemy URL of a PostgreSQL (`postgresql+psycopg://…`); empty is SQLite in state_dir."""
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
    gate: GateSettings = GateSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    schedule: ScheduleSettings = ScheduleSettings()

    @field_validator("state_dir", "model_repository")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return path.expanduser().absolute()

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
        return self.database_url or f"sqlite:///{self.state_dir / 'tidemill.db'}"

    @property
    def effective_mlflow_tracking_uri(self) -> str:
        """MLflow's tracking URI, the default filled in."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.state_dir / 'mlflow.db'}"

    @property
    def triton_address(self) -> str:
        """host:port of the Triton that answers."""
        return self.triton.url or f"127.0.0.1:{self.triton_grpc_port}"


def load_settings() -> Settings:
    """Read the workspace's settings.

    Raises:
        ConfigurationError: a setting is unknown or wrong; names it and the rule.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigurationError("wrong settings:\n  " + "\n  ".join(lines)) from error
    except SettingsError as error:
        raise ConfigurationError(f"wrong settings:\n  {error}: {error.__cause__}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{Path(WORKSPACE_FILE).absolute()}: {error}") from error
