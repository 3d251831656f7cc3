"""The job `write_evidently`: the window of `check_drift` as a report of Evidently.

The reference is the champion's answers on its hold-out, of which the manifest keeps counts, so both
sides are written out from counts: labels as they are, confidences as the middles of their bins.
They need no texts, and a window costs the same however long it is. Evidently judges each column by
itself, so it does not matter which label had which confidence.
"""

import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tidemill_core.durable import written_whole
from tidemill_core.errors import ConfigurationError
from tidemill_core.extras import installation
from tidemill_core.storage.predictions import PredictionWindow
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.monitoring.reference import align_labels, confidence_edges
from tidemill_jobs.monitoring.reporting import NO_CHAMPION, champion_manifest

MAX_ROWS = 1_000_000
"""Most rows of a side; larger counts are scaled down, since Evidently holds rows in memory."""
FOLDER = "reports"

Columns = Mapping[str, Sequence[Any]]


def run(context: JobContext) -> Result:
    """Write Evidently's report on the window to state_dir/reports, as HTML and as JSON.

    Returns:
        `html` and `json`: the files; `prediction_count`, and `drifted_columns`: how many of the
        columns label and confidence drifted by Evidently's rules.

    Raises:
        ConfigurationError: Evidently is not installed.
        DataError: the champion's manifest is missing or damaged, or does not fit its predictions.
        StorageUnavailable: the database does not answer.
    """
    storage, monitoring, now = context.storage, context.settings.monitoring, context.clock()
    manifest = champion_manifest(storage.models, context.repository, context.task)
    if manifest is None:
        return NO_CHAMPION
    start = now - timedelta(hours=monitoring.window_hours)
    window = PredictionWindow(context.task, manifest.version, start)
    edges = confidence_edges(len(manifest.reference.confidence_counts))
    counts = align_labels(manifest.labels, storage.predictions.label_counts(window))
    confidences = storage.predictions.confidence_counts(window, edges)
    reference = manifest.reference
    if not counts.sum() or not sum(reference.label_counts):
        return {"summary": "the window or the hold-out has no predictions", "prediction_count": 0}
    context.progress(0.3, f"comparing {counts.sum()} predictions")
    named = {"task": context.task, "model_version": str(manifest.version)}
    snapshot = compare(
        _columns(manifest.labels, reference.label_counts, reference.confidence_counts, edges),
        _columns(manifest.labels, counts.tolist(), confidences, edges),
        {**named, "since": start.isoformat(), "until": now.isoformat()},
    )
    stem = context.settings.state_dir / FOLDER / context.task / f"evidently-{now:%Y%m%dT%H%M%SZ}"
    html, json = _write(snapshot, stem)
    drifted = int(snapshot.dict()["metrics"][0]["value"]["count"])
    written = {"html": str(html), "json": str(json), "model_version": manifest.version}
    return {**written, "prediction_count": int(counts.sum()), "drifted_columns": drifted}


def compare(reference: Columns, window: Columns, metadata: Mapping[str, str]) -> Any:
    """Return Evidently's report, a Snapshot, on the columns `label` and `confidence`.

    Raises:
        ConfigurationError: Evidently is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports warn about each other
        try:
            import pandas as pd  # type: ignore[import-untyped]
            from evidently import (  # type: ignore[import-untyped]
                DataDefinition,
                Dataset,
                Report,
            )
            from evidently.presets import (  # type: ignore[import-untyped]
                DataDriftPreset,
                DataSummaryPreset,
            )
        except ImportError as error:
            missing = f"Evidently is not installed here: {installation('evidently')}"
            raise ConfigurationError(missing) from error
        columns = DataDefinition(categorical_columns=["label"], numerical_columns=["confidence"])
        sides = [
            Dataset.from_pandas(pd.DataFrame(dict(side)), data_definition=columns)
            for side in (window, reference)
        ]
        report = Report([DataDriftPreset(), DataSummaryPreset()], metadata=dict(metadata))
        return report.run(*sides)


def _columns(
    labels: Sequence[str],
    label_counts: Sequence[int],
    confidence_counts: Sequence[int],
    edges: Sequence[float],
) -> Columns:
    """Return rows with these counts, at most MAX_ROWS."""
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    total = sum(label_counts)
    label_rows, confidence_rows = (
        _written_out(values, counts, total)
        for values, counts in ((labels, label_counts), (middles, confidence_counts))
    )
    rows = min(len(label_rows), len(confidence_rows))  # they may differ by rounding
    return {"label": label_rows[:rows], "confidence": confidence_rows[:rows]}


def _written_out(values: Sequence[Any], counts: Sequence[int], total: int) -> Sequence[Any]:
    kept = np.array(counts, dtype=np.int64)
    if total > MAX_ROWS:
        kept = np.ceil(kept * (MAX_ROWS / total)).astype(np.int64)
    written: Sequence[Any] = np.repeat(np.array(values, dtype=object), kept).tolist()
    return written


def _write(snapshot: Any, stem: Path) -> tuple[Path, Path]:
    stem.parent.mkdir(parents=True, exist_ok=True)
    html, json = stem.with_suffix(".html"), stem.with_suffix(".json")
    with written_whole(html) as staged:
        snapshot.save_html(str(staged))
    with written_whole(json) as staged:
        snapshot.save_json(str(staged))
    return html, json
