"""A task with little data, a real Triton, and everything between them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import count
from pathlib import Path

import pytest

from tests.integration.jobs.data.building import build
from tests.plugins.databases import new_sqlite
from tests.plugins.exporting import one_operator_table  # noqa: F401 -- a fixture
from tests.plugins.job_runs import run_of
from tests.plugins.mlflow_store import new_mlflow_store
from tests.plugins.triton import RunningTriton
from tidemill_core.domain.gate import GateResult, GateVerdict
from tidemill_core.domain.model import ModelState, ModelVersion, model_name
from tidemill_core.domain.split import Split, content_hash, split_of
from tidemill_core.settings import FilesSource, Settings, TaskSettings
from tidemill_core.settings.tracking import TrackingSettings
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.storage import open_storage
from tidemill_core.text_repair import TextRepair
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.release import retrain
from tidemill_jobs.release.candidate import Candidate
from tidemill_jobs.release.decide import judged
from tidemill_jobs.release.publish import highest_version, publish
from tidemill_jobs.release.serving import UNLOAD_AFTER, Reconciler, Serving, serve
from tidemill_jobs.training.export import export_onnx
from tidemill_jobs.training.labeled_texts import LabeledTexts, TrainingData
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainedModel, TrainingConfig, train

WORDS = {"pay": "transfer money account", "card": "plastic pin chip", "loan": "borrow rate house"}
GARBLED = {"pay": "card", "card": "loan", "loan": "pay"}
Label = Callable[[str, str], str]


def right(_text: str, label: str) -> str:
    """Return the true label."""
    return label


def garbled(text: str, label: str) -> str:
    """Return the true label in the hold-out, and a wrong one elsewhere."""
    return label if split_of(content_hash(text)) is Split.TEST else GARBLED[label]


def write_rows(path: Path, label: Label = right, rows: int = 210) -> None:
    """Write a CSV file with three easy labels."""
    lines = [f"{text},{label(text, true)}" for text, true in rows_of(rows)]
    path.write_text("\n".join(["text,label", *lines]) + "\n")


def rows_of(rows: int) -> Iterator[tuple[str, str]]:
    """Yield texts and their true labels."""
    for number in range(rows):
        true = list(WORDS)[number % 3]
        words = WORDS[true].split()
        yield f"{words[number % 2]} {words[2]} {words[number % 3]} {number}", true


def failed(results: Mapping[str, GateResult]) -> dict[str, str]:
    """Return the reasons of the gates that a version failed, by gate."""
    return {
        gate: result.reason
        for gate, result in results.items()
        if result.verdict is GateVerdict.FAILED
    }


@dataclass(frozen=True)
class Trained:
    """A model and its hold-out."""

    model: TrainedModel
    test: LabeledTexts

    @cached_property
    def exported(self) -> bytes:
        """The model in ONNX."""
        return export_onnx(self.model.classifier, self.model.sequence_length)


@dataclass
class Loop:
    """One task's loop.

    Attributes:
        context: its surroundings; `retrain` gives each run an id of its own.
        source: its CSV file.
    """

    context: JobContext
    source: Path
    _runs: Iterator[int] = field(default_factory=count)

    def retrain(self, **surroundings: object) -> Result:
        """Run the job once."""
        context = replace(self.context, run_id=f"run-{next(self._runs)}", **surroundings)
        return retrain.run(context)

    def change(self, **changed: object) -> None:
        """Change settings of the task."""
        task = self.context.task_settings.model_copy(update=changed)
        settings = self.context.settings.model_copy(update={"tasks": {self.context.task: task}})
        self.context = replace(self.context, settings=settings)

    @property
    def serving(self) -> Serving:
        """The stores of its versions, and Triton."""
        context = self.context
        return Serving(context.storage.models, context.repository, context.triton)

    def candidate(self, trained: Trained, exported: bytes | None = None) -> ModelVersion:
        """Publish a model as `retrain` does; `exported` replaces its export."""
        context, task = self.context, self.context.task
        above = highest_version(context.repository, task)
        dataset = build(context).dataset_version
        now = context.clock()
        candidate = context.storage.models.add_candidate(task, "onnx", dataset, now, above)
        model, repair = exported or trained.exported, TextRepair()
        publish(context.repository, candidate, trained.model, model, repair, (), context.run_id)
        return candidate

    def judge(
        self, version: ModelVersion, trained: Trained, train: LabeledTexts | None = None
    ) -> dict[str, GateResult]:
        """Ask the gates about a published version as `retrain` does; return them by name."""
        candidate = Candidate(
            version=version,
            labels=trained.model.labels,
            measures=trained.model.test_measures,
            offline=trained.model.probabilities,
            original=trained.model.classifier,
        )
        data = TrainingData(train or LabeledTexts(), test=trained.test)
        return {each.gate: each for each in judged(self.context, candidate, data, {})}

    def champion(self, trained: Trained) -> ModelVersion:
        """Publish a model, load it and promote it without asking the gates."""
        candidate = self.candidate(trained)
        serve(self.serving, self.context.task, candidate)
        models, now = self.context.storage.models, datetime.now(UTC)
        place = (self.context.task, candidate.version)
        models.judge(*place, ModelState.VALIDATED, {}, "passed", now)
        models.promote(*place, Change("test", "", "", now))
        return candidate

    def reconcile(self, later: timedelta = 2 * UNLOAD_AFTER) -> None:
        """Reconcile the task as the jobs process does, some time later."""
        context = self.context
        reconciler = Reconciler(
            context.storage,
            context.repository,
            lambda: datetime.now(UTC) + later,
            lambda: True,
        )
        for triton in context.triton.servers():
            reconciler.tick(triton, [context.task])

    def state(self, version: int) -> ModelState:
        """Return the state of a version."""
        return self.version(version).state

    def version(self, version: int) -> ModelVersion:
        """Return a version of the task."""
        return self.context.storage.models.get(self.context.task, version)

    def ready(self, model_format: str = "onnx") -> set[int]:
        """Return the versions that Triton serves."""
        return set(self.context.triton.ready_versions(model_name(self.context.task, model_format)))

    def model_file(self, version: int) -> Path:
        """Return the path of a version's ONNX file."""
        return self.context.repository.folder(self.context.task, "onnx", version) / "model.onnx"


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Triton's model repository."""
    return tmp_path_factory.mktemp("model_repository")


@pytest.fixture(scope="session")
def triton(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningTriton]:
    """An embedded Triton that serves nothing yet."""
    with RunningTriton(repository, tmp_path_factory.mktemp("state")) as running:
        yield running


_tasks = count()
UNTRACKED = TrackingSettings(trackers=())
"""Sending a training to a tracker takes a process that imports its SDK, which is seconds."""


def open_loop(folder: Path, repository: Path, triton: RunningTriton) -> Iterator[Loop]:
    """Yield the loop of a new task."""
    task, source = f"task{next(_tasks)}", folder / "rows.csv"
    write_rows(source)
    with chdir(folder):
        settings = Settings(
            tasks={task: TaskSettings(sources=[FilesSource(path=source)])},
            state_dir=folder / "var",
            model_repository=repository,
            tracking=UNTRACKED,
        )
    storage = open_storage(new_sqlite(folder / "var" / "tidemill.db"))
    triton.revive()
    with triton.control() as control:
        yield Loop(
            run_of(settings, storage, control, task=task),
            source,
        )
    storage.database.close()


@pytest.fixture
def loop(tmp_path: Path, repository: Path, triton: RunningTriton) -> Iterator[Loop]:
    """A task that has no model yet."""
    yield from open_loop(tmp_path, repository, triton)


@pytest.fixture
def tracked_loop(loop: Loop) -> Loop:
    """The same, and its trainings go to MLflow."""
    new_mlflow_store(loop.context.settings.state_dir / "mlflow.db")
    settings = loop.context.settings.model_copy(update={"tracking": TrackingSettings()})
    loop.context = replace(loop.context, settings=settings)
    return loop


@pytest.fixture(scope="session")
def trained() -> Trained:
    """A model of the rows that every task starts with."""
    return learn(right)


@pytest.fixture(scope="session")
def other() -> Trained:
    """A model with the same labels that answers differently."""
    return learn(garbled)


def learn(label: Label, rows: int = 210) -> Trained:
    """Train on the rows that `write_rows` writes, without a task or a database."""
    parts: dict[Split, list[tuple[str, str]]] = {split: [] for split in Split}
    for text, true in rows_of(rows):
        parts[split_of(content_hash(text))].append((text, label(text, true)))
    train_rows, validation, test = (
        LabeledTexts([text for text, _ in part], [found for _, found in part])
        for part in (parts[Split.TRAIN], parts[Split.VALIDATION], parts[Split.TEST])
    )
    return learn_from(TrainingData(train_rows, validation, test))


def learn_from(data: TrainingData) -> Trained:
    """Train on some rows, without a task or a database."""
    model = train(data, TrainingConfig(), lambda _done, _doing: None, Untracked())
    return Trained(model, data.test)
