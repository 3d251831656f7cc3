"""The job `write_evidently`: the window of `check_drift` as a report of Evidently.

Both sides are the counts that `check_drift` compares, written out as rows: labels as they are,
numbers as the middles of their bins. They need no texts, and a window costs the same however long
it is. Evidently judges each column by itself, so it does not matter which label had which
confidence.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tidemill_core.counted import counted
from tidemill_core.domain.signals import Signal, bin_bounds
from tidemill_core.durable import written_whole
from tidemill_core.errors import ConfigurationError
from tidemill_core.extras import installation
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.monitoring.drift.shift import Counts
from tidemill_jobs.monitoring.drift.signals import Samples, counted_signals
from tidemill_jobs.monitoring.reporting import NO_CHAMPION, champion_manifest

MAX_ROWS = 1_000_000
"""Most rows of a side; larger counts are scaled down, since Evidently holds rows in memory."""
FOLDER = "reports"

Columns = Mapping[str, Sequence[Any]]


def run(context: JobContext) -> Result:
    """Write Evidently's report on the window to state_dir/reports, as HTML and as JSON.

    Returns:
        `html` and `json`: the files; `prediction_count`, and `drifted_columns`: how many of the
        signals drifted by Evidently's rules.

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
    counts = storage.prediction_counts.of_window(context.task, manifest.version, start)
    signals = counted_signals(manifest, counts, 1, lambda *_: [])
    measured = [each for each in signals if not each.note]
    count = int(signals[0].window.sum())
    if not measured:
        return {"summary": signals[0].note, "prediction_count": count}
    context.progress(0.3, f"comparing {counted(count, 'prediction')}")
    named = {"task": context.task, "model_version": str(manifest.version)}
    snapshot = compare(measured, {**named, "since": start.isoformat(), "until": now.isoformat()})
    stem = context.settings.state_dir / FOLDER / context.task / f"evidently-{now:%Y%m%dT%H%M%SZ}"
    html, json = _write(snapshot, stem)
    drifted = int(snapshot.dict()["metrics"][0]["value"]["count"])
    written = {"html": str(html), "json": str(json), "model_version": manifest.version}
    return {**written, "prediction_count": count, "drifted_columns": drifted}


def compare(
    signals: Sequence[Samples], metadata: Mapping[str, str], max_rows: int = MAX_ROWS
) -> Any:
    """Return Evidently's report, a Snapshot, with a column for each signal.

    Args:
        signals: those that are measured.
        metadata: what Evidently shows beside its figures.
        max_rows: the most rows of a side; larger counts are scaled down.

    Raises:
        ConfigurationError: Evidently is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports warn about each other
        try:
            import pandas as pd
            from evidently import (
                DataDefinition,
                Dataset,
                Report,
            )
            from evidently.presets import (
                DataDriftPreset,
                DataSummaryPreset,
            )
        except ImportError as error:
            missing = f"Evidently is not installed here: {installation('evidently')}"
            raise ConfigurationError(missing) from error
        numbers = [str(each.signal) for each in signals if each.signal is not Signal.LABEL]
        labels = [str(each.signal) for each in signals if each.signal is Signal.LABEL]
        columns = DataDefinition(categorical_columns=labels, numerical_columns=numbers)
        # Texts that were not counted leave a column shorter, which is filled with missing values.
        window, reference = (
            pd.DataFrame({name: pd.Series(values) for name, values in side.items()})
            for side in _sides(signals, max_rows)
        )
        sides = [Dataset.from_pandas(each, data_definition=columns) for each in (window, reference)]
        report = Report([DataDriftPreset(), DataSummaryPreset()], metadata=dict(metadata))
        return report.run(*sides)


def _sides(signals: Sequence[Samples], max_rows: int) -> tuple[Columns, Columns]:
    """Return the rows of the window and of the reference, by signal."""
    named = [(str(each.signal), _values(each), each) for each in signals]
    return (
        {name: _rows(values, each.window, max_rows) for name, values, each in named},
        {name: _rows(values, each.reference, max_rows) for name, values, each in named},
    )


def _values(samples: Samples) -> Sequence[Any]:
    """Return the value that stands for each bin: its label, or its middle."""
    if samples.signal is Signal.LABEL:
        return samples.bins
    bounds = (bin_bounds(samples.signal, number) for number in range(len(samples.bins)))
    return [low if math.isinf(high) else (low + high) / 2 for low, high in bounds]


def _rows(values: Sequence[Any], counts: Counts, most: int) -> Sequence[Any]:
    total = int(counts.sum())
    kept = np.ceil(counts * (most / total)).astype(np.int64) if total > most else counts
    rows: Sequence[Any] = np.array(values, dtype=object).repeat(kept).tolist()
    return rows


def _write(snapshot: Any, stem: Path) -> tuple[Path, Path]:
    stem.parent.mkdir(parents=True, exist_ok=True)
    html, json = stem.with_suffix(".html"), stem.with_suffix(".json")
    with written_whole(html) as staged:
        snapshot.save_html(str(staged))
    with written_whole(json) as staged:
        snapshot.save_json(str(staged))
    return html, json
