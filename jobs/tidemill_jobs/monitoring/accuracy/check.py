"""The job `check_accuracy`: compares the champion's accuracy with that on its hold-out."""

from tidemill_core.counted import counted
from tidemill_core.domain.label_names import Renames
from tidemill_core.model_repository import ModelManifest
from tidemill_core.storage.database import MAX_PAGE_SIZE, Page
from tidemill_core.storage.models import ModelStore
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.monitoring.accuracy.baselines import (
    Baselines,
    hold_out_accuracy,
    hold_out_classes,
)
from tidemill_jobs.monitoring.accuracy.evidence import JudgedVersion, read_evidence
from tidemill_jobs.monitoring.accuracy.finding import find
from tidemill_jobs.monitoring.accuracy.judging import AccuracyLimits
from tidemill_jobs.monitoring.reporting import NO_CHAMPION, ReportSubject, champion_manifest, report

KIND = "accuracy"


def run(context: JobContext) -> Result:
    """Estimate the champion's accuracy from all evidence, and write a report.

    Audits decide, with the help of verdicts and confidences. Verdicts alone never do, because users
    choose what they judge. Windows go by the time of the prediction, and labels count whenever they
    come.

    Raises:
        DataError: the champion's manifest is missing or damaged.
        StorageUnavailable: the database does not answer.
    """
    storage, task, now = context.storage, context.task, context.clock()
    manifest = champion_manifest(storage.models, context.repository, task)
    if manifest is None:
        return NO_CHAMPION
    monitoring, renames = context.settings.monitoring, context.task_settings.labels.rename
    limits = AccuracyLimits(
        hold_out_accuracy(manifest.measures), monitoring.max_accuracy_drop, monitoring.min_verdicts
    )
    version = JudgedVersion(task, manifest.version, renames)
    evidence = read_evidence(storage.database, version, now, monitoring.window_hours, limits)
    context.progress(0.8, f"estimating from {counted(len(evidence.audited), 'audit')}")
    baselines = _baselines(storage.models, manifest, renames)
    finding = find(evidence, limits, baselines, context.task_settings.log_sample)
    subject = ReportSubject(task, KIND, manifest.version, context.run_id, now)
    return report(storage, context.settings.alerts, subject, finding)


def _baselines(models: ModelStore, manifest: ModelManifest, renames: Renames) -> Baselines:
    versions, _ = models.page(manifest.task, Page(MAX_PAGE_SIZE))
    return Baselines(
        hold_out_rows=int(manifest.measures.get("n", 0)),
        classes=hold_out_classes(models.gate_results(manifest.task, manifest.version), renames),
        versions={each.version: hold_out_accuracy(each.measures) for each in versions},
    )
