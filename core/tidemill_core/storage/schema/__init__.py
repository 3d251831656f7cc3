"""The tables. `migrations/` creates them in a database, and a test compares the two."""

from tidemill_core.storage.schema.alerts import (
    alert_deliveries,
    alert_silences,
    alert_sinks,
    alerts,
)
from tidemill_core.storage.schema.base import UtcDateTime, metadata
from tidemill_core.storage.schema.erasures import erasures
from tidemill_core.storage.schema.exports import export_positions
from tidemill_core.storage.schema.labeling import label_items, label_origins, labels
from tidemill_core.storage.schema.lifecycle import (
    dataset_versions,
    deployments,
    gate_results,
    job_runs,
    jobs,
    joined_requests,
    leases,
    model_versions,
    release_pauses,
    reports,
    tracked_runs,
)
from tidemill_core.storage.schema.preferences import preference_pairs, preferences
from tidemill_core.storage.schema.rollouts import rollouts
from tidemill_core.storage.schema.serving import (
    api_keys,
    audit_records,
    drift_regions,
    feedback,
    feedback_holds,
    outcome_counts,
    prediction_counts,
    predictions,
)

__all__ = [
    "UtcDateTime",
    "alert_deliveries",
    "alert_silences",
    "alert_sinks",
    "alerts",
    "api_keys",
    "audit_records",
    "dataset_versions",
    "deployments",
    "drift_regions",
    "erasures",
    "export_positions",
    "feedback",
    "feedback_holds",
    "gate_results",
    "job_runs",
    "jobs",
    "joined_requests",
    "label_items",
    "label_origins",
    "labels",
    "leases",
    "metadata",
    "model_versions",
    "outcome_counts",
    "prediction_counts",
    "predictions",
    "preference_pairs",
    "preferences",
    "release_pauses",
    "reports",
    "rollouts",
    "tracked_runs",
]
