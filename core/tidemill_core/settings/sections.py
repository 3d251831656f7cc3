"""What a section of `tidemill.toml` can say."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tidemill_core.settings.labels import LabelNames
from tidemill_core.settings.sources import SourceSettings


class _SettingsSection(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskSettings(_SettingsSection):
    """One classification problem."""

    sources: list[SourceSettings] = Field(min_length=1)
    """Where its examples come from."""
    format: Literal["onnx", "torchscript"] = "onnx"
    """What its models are exported as."""
    max_text_length: int = Field(default=4096, ge=1, le=100_000)
    """Longest text that is answered or learned from, in characters."""
    min_text_length: int = Field(default=1, ge=1)
    """Shortest text that is learned from, in characters."""
    redact: list[Literal["email", "phone", "card", "iban"]] = []
    """What is replaced by a placeholder in texts that are learned from."""
    near_duplicate_similarity: float = Field(default=0.85, ge=0.5, le=1.0)
    """How similar two texts must be to count as nearly the same: the share of their five-letter
    windows that they have in common. 1 looks for equal texts only."""
    max_quarantine_share: float = Field(default=0.2, ge=0.0, le=1.0)
    """Share of the rows that may break a rule, of those that each source brought since its last
    dataset version; with more, none is published."""
    labeling_functions: Path | None = None
    """A Python file with labelling functions, for rows that come without a label."""
    labels: LabelNames = LabelNames()
    """Labels that are new, or have a new name."""
    abstain_below: float = Field(default=0.0, ge=0.0, le=1.0)
    """Predictions with a lower confidence are marked as abstained."""
    log_sample: float = Field(default=1.0, ge=0.0, le=1.0)
    """Share of the predictions that are written down."""
    store_text: Literal["plain", "hash", "none"] = "plain"
    """What is written down of a prediction's text. Without it, feedback counts, and trains only
    where it carries the text itself."""
    text_retention_days: float | None = Field(default=None, gt=0)
    """After how many days a prediction's text is removed; never, where it is not set."""

    @field_validator("labeling_functions")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @field_validator("sources")
    @classmethod
    def _declared_once(cls, sources: list[SourceSettings]) -> list[SourceSettings]:
        if any(source in sources[:place] for place, source in enumerate(sources)):
            raise ValueError("two sources are the same: their rows would count twice")
        return sources


class FeedbackSettings(_SettingsSection):
    """When feedback makes a new version worth training."""

    retrain_after: int = Field(default=1000, ge=1)
    """New labeled examples from feedback that start a retraining. A text counts once. It does not
    count where the split holds it out, or where the last retraining learned it with that label."""
    trust: dict[str, Annotated[float, Field(gt=0.0, le=1.0)]] = {}
    """How likely the verdicts of a source of feedback are right, by its name; 1 where it is not
    named. Training believes them so far, and they count so much where verdicts contradict."""
    max_suspects: int = Field(default=100, ge=1, le=10_000)
    """Suspected label errors that `find_label_errors` names, the least likely labels first."""


class LabelingSettings(_SettingsSection):
    """What people are asked to label."""

    judgements: int = Field(default=1, ge=1, le=9)
    """How many annotators judge a text, before two more where they do not agree."""
    lease_minutes: float = Field(default=30.0, gt=0)
    """How long a text that was handed out is kept for its annotator."""
    audit_share: float = Field(default=0.01, ge=0.0, le=1.0)
    """Share of the predictions that people label, so that accuracy is known without bias."""
    uncertain_per_run: int = Field(default=50, ge=0)
    """How many of the least confident predictions people label, at each run of `queue_labels`."""


class GateSettings(_SettingsSection):
    """What a candidate must show before it may answer."""

    max_accuracy_drop: float = Field(default=0.0, ge=0.0, le=1.0)
    """How far below the champion's its accuracy on the source hold-out may lie. Above 0, accuracy
    may fall by so much with every version."""


class MonitoringSettings(_SettingsSection):
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


class ScheduleSettings(_SettingsSection):
    """When jobs run by themselves. Crontab expressions, in UTC; empty is never.

    They mean what Debian's cron means by them: a day of the month and a day of the week together
    fire on either. Beyond crontab, `L` is the month's last day, `LW` its last weekday, `5L` its
    last Friday and `fri#2` its second one.
    """

    check_feedback: str = "* * * * *"
    """Counts new labelled examples and starts `retrain`."""
    check_drift: str = "0 2 * * *"
    """Compares the day's predictions with the version's reference."""
    check_accuracy: str = "15 2 * * *"
    """Estimates accuracy from the day's feedback."""
    check_latency: str = "*/10 * * * *"
    """Compares the latency with its limit."""
    find_label_errors: str = "0 4 * * 0"
    """Looks for wrong labels in the newest dataset version."""
    queue_labels: str = "30 2 * * *"
    """Chooses the predictions that people are asked to label."""
    expire_texts: str = "30 3 * * *"
    """Removes the texts that are older than their task's `text_retention_days`."""
    erase_texts: str = "45 3 * * *"
    """Erases what `tidemill erase` asked for, where that did not happen at once."""


class TritonSettings(_SettingsSection):
    """The Triton that answers."""

    url: str = ""
    """host:port of the gRPC endpoint of a Triton that runs already; empty starts our own."""
    control_key: str = ""
    """Key of its model control, where it asks for one; our own Triton makes its own."""


class ServerSettings(_SettingsSection):
    """The front's processes."""

    workers: int = Field(default=1, ge=1, le=64)
    """Processes that share the gRPC port."""
    reflection: bool = False
    """Whether callers may ask which services there are."""
    max_queue_delay_ms: float = Field(default=25.0, gt=0)
    """How long a request may wait for its turn, in milliseconds, before fewer are let in."""


class TlsSettings(_SettingsSection):
    """TLS on the gRPC port, from PEM files; they are read again when they change."""

    certificate: Path | None = None
    """The server's certificate, and those between it and its root."""
    private_key: Path | None = None
    """The certificate's key."""
    client_ca: Path | None = None
    """Roots that a client's certificate must come from; without it clients need none."""


class AuthSettings(_SettingsSection):
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


class PredictionLogSettings(_SettingsSection):
    """Bounds for predictions that cannot be written to the database for now."""

    max_held_rows: int = Field(default=100_000, ge=1)
    """Kept in the memory of each worker, where the disk cannot be written either."""
    max_spool_mb: int = Field(default=4096, ge=1)
    """Megabytes on disk, all workers together."""


class TracingSettings(_SettingsSection):
    """OpenTelemetry traces."""

    otlp_endpoint: str = ""
    """URL of an OTLP/gRPC receiver, such as http://localhost:4317; empty traces nothing."""
    sample: float = Field(default=0.01, ge=0.0, le=1.0)
    """Share of the calls that are traced, where the caller has not decided."""
