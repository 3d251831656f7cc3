"""The record of a training: what it logs goes to a file, from which trackers get it later.

Therefore a tracker that does not answer never delays a training. A finished record stays in each
tracker's outbox, `tracking/<tracker>/<task>/<run id>.jsonl` in the state directory, until it is
sent.
"""

import base64
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tidemill_core.domain.dataset import DatasetVersion
from tidemill_jobs.context import RunCanceled

MOST_WAITING = 100
"""Runs in an outbox; the oldest above that are removed."""
MANIFEST_FOLDER = "model"
"""The folder of a version's manifest among its run's artifacts."""
_RECORDING = "recording"


class Tracker(Protocol):
    """A record of a training's course."""

    def log_parameters(self, parameters: Mapping[str, str | int | float]) -> None:
        """Log the training's parameters, once, before it starts."""

    def log_metrics(self, metrics: Mapping[str, float], epoch: int = 0) -> None:
        """Log one point of each curve, at an epoch from 1, or final measures at 0."""

    def log_artifact(self, name: str, content: bytes) -> None:
        """Keep a file; its name may have folders."""


class Untracked:
    """A tracker that keeps nothing."""

    def log_parameters(self, parameters: Mapping[str, str | int | float]) -> None:
        """Keep nothing."""

    def log_metrics(self, metrics: Mapping[str, float], epoch: int = 0) -> None:
        """Keep nothing."""

    def log_artifact(self, name: str, content: bytes) -> None:
        """Keep nothing."""


@dataclass(frozen=True)
class Outboxes:
    """The records of one task's runs on disk.

    Attributes:
        root: the folder of all of them.
        task: the task.
        trackers: the names of the trackers that get each run.
    """

    root: Path
    task: str
    trackers: Sequence[str]

    def of(self, tracker: str) -> Path:
        """Return the outbox of a tracker."""
        return self.root / tracker / self.task

    def collect(self) -> None:
        """Put the records that are complete, or whose process died, into every outbox."""
        for path in (self.root / _RECORDING / self.task).glob("*.jsonl"):
            for tracker in self.trackers:
                _copy(path, self.of(tracker))
            path.unlink()


@dataclass(frozen=True)
class RunSubject:
    """What a run trains.

    Attributes:
        run_id: the id of the job's run.
        task: the task.
        model_format: `onnx` or `torchscript`.
        dataset_version: the dataset version, in hex.
        dataset_uri: its folder.
        counts: its counts of rows, by `row_counts`, `label_counts` and `label_source_counts`.
    """

    run_id: str
    task: str
    model_format: str
    dataset_version: str
    dataset_uri: str
    counts: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, run_id: str, model_format: str, dataset: DatasetVersion) -> "RunSubject":
        """Return the subject of a run that trains on a dataset version."""
        names = ("row_counts", "label_counts", "label_source_counts")
        counts = {name: dict(getattr(dataset, name)) for name in names}
        version, uri = dataset.dataset_version, dataset.uri
        return cls(run_id, dataset.task, model_format, version, uri, counts)


@dataclass(frozen=True)
class Point:
    """Values that were logged together.

    Attributes:
        milliseconds: since 1970.
        epoch: from 1; 0 for final measures.
        values: by name.
    """

    milliseconds: int
    epoch: int
    values: Mapping[str, float]


@dataclass
class TrackedRun:
    """A run as it was recorded.

    Attributes:
        subject: what it trained.
        start: milliseconds since 1970.
        end: milliseconds since 1970.
        status: FINISHED, FAILED, or KILLED if it was canceled or its process died.
        parameters: of the training.
        points: of the curves.
        artifacts: files by name.
        model_version: the version that it published; 0 if it published none.
        state: what the release made of that version.
    """

    subject: RunSubject
    start: int
    end: int
    status: str = "KILLED"
    parameters: dict[str, str | int | float] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    model_version: int = 0
    state: str = ""


class RunRecord:
    """A tracker that appends what it gets to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def log_parameters(self, parameters: Mapping[str, str | int | float]) -> None:
        """Record the training's parameters."""
        self.append(parameters=dict(parameters))

    def log_metrics(self, metrics: Mapping[str, float], epoch: int = 0) -> None:
        """Record one point of each curve, or final measures."""
        values = {name: float(value) for name, value in metrics.items()}
        self.append(values=values, epoch=epoch)

    def log_artifact(self, name: str, content: bytes) -> None:
        """Record a file."""
        self.append(artifact=name, content=base64.b64encode(content).decode())

    def log_release(self, model_version: int, state: str, manifest: bytes) -> None:
        """Record the version that the run published, and what the release made of it."""
        self.log_artifact(f"{MANIFEST_FOLDER}/manifest.json", manifest)
        self.append(model_version=model_version, state=state)

    def append(self, **event: Any) -> None:
        """Append an event."""
        line = json.dumps({"milliseconds": time.time_ns() // 1_000_000, **event})
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


@contextmanager
def recorded_run(outboxes: Outboxes, subject: RunSubject) -> Iterator[RunRecord]:
    """Record a run, which is FINISHED, FAILED or KILLED, and put it into the outboxes.

    A run is KILLED by what is not an error, such as a cancellation.
    """
    outboxes.collect()
    folder = outboxes.root / _RECORDING / subject.task
    folder.mkdir(parents=True, exist_ok=True)
    record = RunRecord(folder / f"{subject.run_id}.jsonl")
    record.append(subject=subject.__dict__)
    try:
        yield record
        record.append(status="FINISHED")
    except RunCanceled:
        raise
    except Exception:
        record.append(status="FAILED")
        raise
    finally:
        outboxes.collect()


def read_run(path: Path) -> TrackedRun:
    """Return a recorded run; a line that was cut when its process died is left out.

    Raises:
        ValueError: the file is no record.
    """
    first, *events = list(events_of(path))
    run = TrackedRun(RunSubject(**first["subject"]), first["milliseconds"], 0)
    for event in events:
        if "values" in event:
            run.points.append(Point(event["milliseconds"], event["epoch"], event["values"]))
        elif "artifact" in event:
            run.artifacts[event["artifact"]] = base64.b64decode(event["content"])
        else:
            run.parameters |= event.get("parameters", {})
            run.status = event.get("status", run.status)
            run.model_version = event.get("model_version", run.model_version)
            run.state = event.get("state", run.state)
    run.end = [first, *events][-1]["milliseconds"]
    return run


def events_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a record; a line that was cut is left out."""
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def _copy(path: Path, outbox: Path) -> None:
    outbox.mkdir(parents=True, exist_ok=True)
    staged = outbox / f"{path.name}.part"
    shutil.copyfile(path, staged)
    staged.replace(outbox / path.name)
    for old in waiting(outbox)[MOST_WAITING:]:
        old.unlink()


def waiting(outbox: Path) -> list[Path]:
    """Return the records in an outbox, newest first."""
    return sorted(outbox.glob("*.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True)
