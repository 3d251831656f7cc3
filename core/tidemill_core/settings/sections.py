"""The sections of `tidemill.toml`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from tidemill_core.settings.folders import NamedPath
from tidemill_core.settings.forms import HttpUrls, of_form
from tidemill_core.settings.labels import LabelNames
from tidemill_core.settings.rollout import RolloutSettings
from tidemill_core.settings.section import Section
from tidemill_core.settings.sources import SourceSettings
from tidemill_core.settings.task_kind import TaskKind, check_kind
from tidemill_core.settings.times import MOST_DAYS, MOST_HOURS
from tidemill_core.settings.training import PseudoLabelSettings, TrainingSettings
from tidemill_core.triton.addresses import named

CHECKED_WINDOWS = 8
"""How many windows the accuracy check looks at: the newest, and those before it."""


class TaskSettings(Section):
    """One problem that models learn."""

    kind: TaskKind = "classification"
    """What its models answer: the class of a text, or how good people find an answer to a prompt.
    The latter learn from the task's preference pairs."""
    sources: list[SourceSettings] = []
    """The sources of its examples: at least one, unless the kind is preference."""
    format: Literal["onnx", "torchscript"] = "onnx"
    """The format of its models."""
    max_text_length: int = Field(default=4096, ge=1, le=100_000)
    """Longest text to predict or learn from, in characters."""
    min_text_length: int = Field(default=1, ge=1)
    """Shortest text to learn from, in characters."""
    redact: list[Literal["email", "phone", "card", "iban"]] = []
    """Kinds of personal data that placeholders replace in texts."""
    near_duplicate_similarity: float = Field(default=0.85, ge=0.5, le=1.0)
    """Similarity from which two texts are near duplicates: the share of their five-letter windows
    that they have in common. With 1, only equal texts are duplicates."""
    max_quarantine_share: float = Field(default=0.2, ge=0.0, le=1.0)
    """Largest share of rows that may break a rule, for each source and its rows since the last
    dataset version. If it is exceeded, no version is published."""
    labeling_functions: NamedPath | None = None
    """A Python file with labeling functions, for rows without a label."""
    pseudo_labels: PseudoLabelSettings | None = None
    """The models' own confident answers, as training rows; unset: none."""
    labels: LabelNames = LabelNames()
    """Labels that are added, renamed or merged."""
    training: TrainingSettings = TrainingSettings()
    """How its models are trained."""
    golden_examples: NamedPath | None = None
    """A CSV file with the columns `text` and `label`: examples that every model must get right."""
    approval: bool = False
    """Whether a person must approve a version that passed the gates before it may answer."""
    rollout: RolloutSettings | None = None
    """How a version that passed the gates gets its traffic; unset: it is champion immediately."""
    abstain_below: float = Field(default=0.0, ge=0.0, le=1.0)
    """Predictions with a lower confidence are marked as abstained."""
    abstain_for_precision: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Wanted share of right labels among the predictions that are not marked as abstained. Each new
    version finds its own threshold on held-out rows; `abstain_below` is its floor."""
    log_sample: float = Field(default=1.0, ge=0.0, le=1.0)
    """Share of the predictions that are stored."""
    store_text: Literal["plain", "hash", "none"] = "plain"
    """How a prediction's text is stored. Without the text, feedback is counted, but trains only if
    it includes the text."""
    text_retention_days: float | None = Field(default=None, gt=0, le=MOST_DAYS)
    """Days after which a prediction's text is removed; unset: never."""

    @field_validator("labeling_functions", "golden_examples")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("sources")
    @classmethod
    def _declared_once(cls, sources: list[SourceSettings]) -> list[SourceSettings]:
        if any(source in sources[:place] for place, source in enumerate(sources)):
            raise ValueError("two sources are the same: their rows would count twice")
        return sources

    @model_validator(mode="after")
    def _int8_is_onnx(self) -> Self:
        if self.training.int8 and self.format != "onnx":
            raise ValueError(
                f"training.int8 needs the format 'onnx', and the format is '{self.format}'"
            )
        return self

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        given = self.model_fields_set if self.sources else self.model_fields_set - {"sources"}
        check_kind(self.kind, given, self.training.int8)
        return self


class GateSettings(Section):
    """The gates that a candidate must pass before it may answer."""

    min_accuracy: float = Field(default=0.0, ge=0.0, le=1.0)
    """Lowest accuracy on the hold-out. It must always be above the share of the commonest label."""
    max_accuracy_drop: float = Field(default=0.0, ge=0.0, le=1.0)
    """How far its accuracy may be below the champion's on the same rows. A larger drop fails if a
    paired test shows that it is not chance."""
    max_class_drop: float = Field(default=0.05, ge=0.0, le=1.0)
    """How far the accuracy on a class or a slice may be below the champion's. A larger drop fails
    if it is not chance."""
    max_calibration_error: float = Field(default=0.05, gt=0.0, le=1.0)
    """Largest expected calibration error, beyond what chance explains."""
    max_slowdown: float | None = Field(default=None, gt=0.0)
    """How many times as long as the champion it may take in Triton. Unset: twice as long, and any
    time if it has another network."""
    max_model_mb: float = Field(default=1024.0, gt=0.0)
    """Largest model file, in megabytes."""
    max_memory_mb: float = Field(default=4096.0, gt=0.0)
    """Most memory that the model takes when it is loaded and answers a batch, in megabytes."""


class MonitoringSettings(Section):
    """The checks' time windows and limits."""

    window_hours: float = Field(default=24.0, gt=0, le=MOST_HOURS)
    """Window of the drift and accuracy checks, in hours; that of latency is the last hour."""
    min_predictions: int = Field(default=200, ge=1)
    """Fewest predictions for a conclusion on drift and latency; with fewer: INSUFFICIENT."""
    min_verdicts: int = Field(default=30, ge=1)
    """Fewest audited predictions with a label for a conclusion on accuracy; with fewer:
    INSUFFICIENT. Users' verdicts alone are biased and do not count."""
    max_accuracy_drop: float = Field(default=0.03, gt=0, lt=1)
    """Alert if the whole interval of the accuracy is more than this below the baseline."""
    max_p99_latency_ms: float = Field(default=50.0, gt=0)
    """Alert if the 99th percentile of the latency is above this, in milliseconds."""
    max_error_rate: float = Field(default=0.001, gt=0, lt=1)
    """The error budget: the share of texts that may fail through no fault of the caller. Alert if
    failures use it up too fast."""


class TritonSettings(Section):
    """The Triton that serves the models."""

    url: str = ""
    """host:port of the gRPC endpoint of a running Triton; empty starts the embedded one. Several,
    separated by commas, or `dns:///host:port` for every address of a name: all have the same model
    repository and control key, and calls take turns among them."""
    restart_above_mb: float = Field(default=1024.0, gt=0.0)
    """Memory of the embedded Triton's server process, in megabytes, above which it is restarted
    while a stand-in answers. The models run in processes of their own and do not count."""
    control_key: str = ""
    """Key of its model control, if it requires one; the embedded Triton creates its own."""
    metrics_url: HttpUrls = ""
    """URL of the Prometheus metrics of a running Triton, such as http://triton:8002/metrics; of
    several, their URLs, separated by commas. With a `dns:///` URL above, the host of this URL
    stands for all of its addresses, too."""

    @field_validator("url")
    @classmethod
    def _is_a_target(cls, url: str) -> str:
        if url:
            named(url)
        return url


class ServerSettings(Section):
    """The front's processes."""

    workers: int = Field(default=1, ge=1, le=64)
    """Processes of `tidemill up` that share the ports; a front that is started by itself is one."""
    transport: Literal["h2corn", "grpcio"] = "h2corn"
    """The server library that carries gRPC; see docs/decisions/transport.md."""
    reflection: bool = False
    """Whether callers may list the services by gRPC reflection."""
    max_queue_delay_ms: float = Field(default=25.0, gt=0)
    """Longest wait of a request, in milliseconds; with longer waits, fewer are admitted."""


class TlsSettings(Section):
    """TLS on the gRPC and HTTP ports, from PEM files, which are read again when they change."""

    certificate: NamedPath | None = None
    """The server's certificate and its intermediate certificates."""
    private_key: NamedPath | None = None
    """The certificate's key."""
    client_ca: NamedPath | None = None
    """Root certificates for clients' certificates; unset: clients need no certificate."""


_Jwks = Annotated[
    str, of_form(r"(?i:https://)[^/\s]\S*|(?!.*://).*", "must be a file or an https URL")
]


class AuthSettings(Section):
    """Who may call."""

    required: bool | None = None
    """Whether callers need an API key or a token; unset: on every address except loopback."""
    jwks: _Jwks = ""
    """File or https URL of the keys (JWKS) that sign tokens; empty accepts no tokens."""
    issuer: str = ""
    """Required `iss` of a token; empty accepts any."""
    audience: str = "tidemill"
    """Required `aud` of a token."""
    max_token_hours: float = Field(default=24.0, gt=0, le=MOST_HOURS)
    """Longest time until the `exp` of a token, in hours; one that ends later is refused."""


class PredictionLogSettings(Section):
    """Limits of predictions that wait for the database."""

    max_held_rows: int = Field(default=100_000, ge=1)
    """Most rows in the memory of each worker, if the disk cannot be written either."""
    max_spool_mb: int = Field(default=4096, ge=1)
    """Most megabytes on disk, for all workers together."""
    retention_days: int | None = Field(default=None, ge=1, le=MOST_DAYS)
    """Days after which predictions and their counts are removed, in whole weeks; unset: never. At
    least the time that the checks and a rollout look back."""
