"""A dataset from real sources of all four kinds, with builds that are killed."""

import json
import multiprocessing as mp
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from multiprocessing.context import ForkServerContext
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from tests.integration.jobs.data.building import build
from tests.integration.jobs.data.sources.web_api.api import Answer, Api, Asked, running
from tests.integration.server.front import Front, Workspace
from tests.integration.server.models import LABELS
from tests.plugins.job_runs import run_of
from tests.plugins.triton import RunningTriton
from tidemill.v1 import feedback_service_pb2 as feedback_pb
from tidemill.v1 import prediction_service_pb2 as prediction_pb
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.settings import Settings, TaskSettings
from tidemill_core.storage.storage import open_storage
from tidemill_core.triton.control import TritonControl

TASK = "mixed"
KILLS = 12
ANYWHERE = "anywhere"
STAGES = ("intake", "prepared", "datasets", ANYWHERE)
"""Folders that a build writes to, one after the other."""
PAGE_ITEMS = 25


@dataclass
class World:
    """The sources, and what has been put into them.

    Attributes:
        folder: holds the JSONL files.
        database: PostgreSQL with the table `tickets`.
        api: answers `items` by page, those from `since` on.
        front: takes predictions and feedback.
        chance: decides on texts.
    """

    folder: Path
    database: sa.Engine
    api: Api
    front: Front
    chance: random.Random = field(default_factory=lambda: random.Random(4))
    items: list[dict[str, object]] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)

    def grow(self) -> None:
        """Add good rows, bad ones, equal ones and contradicting ones to every source."""
        with (self.folder / f"day-{len(self.items) // 80}.jsonl").open(
            "a", encoding="utf-8"
        ) as file:
            for _ in range(20):
                file.write(json.dumps({"text": self._text(), "label": self._label()}) + "\n")
            file.write('{"text": "\\u0000", "label": "card"}\n{"text": \n')
        tickets = [{"text": self._text(), "label": self._label()} for _ in range(20)]
        with self.database.begin() as connection:
            connection.execute(
                sa.text("INSERT INTO tickets VALUES (DEFAULT, :text, :label)"), tickets
            )
        for _ in range(20):
            item = {"id": len(self.items) + 1, "text": self._text(), "label": self._label()}
            self.items.append(item)
        texts = [self._text() for _ in range(3)]
        request = prediction_pb.BatchPredictRequest(task=TASK, texts=texts)
        for result in self.front.predictions.BatchPredict(request, timeout=20).results:
            verdict = feedback_pb.SubmitFeedbackRequest(
                prediction_id=result.prediction.prediction_id, label=self._label()
            )
            self.front.feedback.SubmitFeedback(verdict, timeout=20)
        self.rows.update(files=22, sql=20, http=20, feedback=3)

    def answer(self, asked: Asked) -> Answer:
        """Return a page of the new items."""
        since = int(asked.parameters.get("since", 0))
        new = [item for item in self.items if int(str(item["id"])) > since]
        start = (int(asked.parameters["page"]) - 1) * PAGE_ITEMS
        return Answer(new[start : start + PAGE_ITEMS])

    @property
    def task(self) -> TaskSettings:
        """Return the task with its sources."""
        url = self.database.url.render_as_string(hide_password=False)
        sources = [
            {"path": self.folder / "*.jsonl"},
            {"kind": "sql", "url": url, "table": "tickets", "cursor_column": "id"},
            {
                "kind": "http",
                "url": self.api.url,
                "pagination": "page",
                "since_parameter": "since",
                "since_field": "id",
                "requests_per_second": 1000,
            },
        ]
        return TaskSettings.model_validate({"sources": sources})

    def _text(self) -> str:
        # Few words, so that texts repeat, and an ending that makes some near-duplicates.
        words = self.chance.choices(["card", "money", "refund", "late", "lost", "fee"], k=3)
        return f"please help, about my {' '.join(words)} i have been waiting for days{self._end()}"

    def _end(self) -> str:
        return self.chance.choice(["", "", ".", "!", " again"])

    def _label(self) -> str:
        return self.chance.choice(LABELS[:2])


@pytest.fixture
def own(tmp_path: Path) -> Workspace:
    """Return a workspace without anyone else's feedback and labels."""
    folder = tmp_path / "own"
    folder.mkdir()
    return Workspace(folder, {TASK: 1})


@pytest.fixture
def world(tmp_path: Path, own: Workspace, postgres_url: str) -> Iterator[World]:
    """Yield the sources, still empty."""
    database = sa.create_engine(postgres_url)
    with database.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE tickets (id SERIAL, text TEXT, label TEXT)")
    folder = tmp_path / "events"
    folder.mkdir()
    with (
        running() as api,
        RunningTriton(own.repository.root, tmp_path / "triton", own.models) as triton,
        Front(own, triton.grpc_address) as front,
    ):
        made = World(folder, database, api, front)
        api.answer = made.answer
        yield made
    database.dispose()


def _build(state: Path, task: TaskSettings, database_url: str) -> DatasetVersion:
    """Build the task's dataset, in this process or in one that is killed."""
    state.mkdir(exist_ok=True)
    with chdir(state), TritonControl("127.0.0.1:1", key="") as triton:
        settings = Settings(tasks={TASK: task}, state_dir=state, model_repository=state / "models")
        storage = open_storage(database_url)
        context = run_of(settings, storage, triton, task=TASK)
        try:
            return build(context)
        finally:
            storage.database.close()


def _kill_builds(
    processes: ForkServerContext, world: World, build: Callable[[], object]
) -> Counter[str]:
    """Kill KILLS builds, each after the sources grew: at any moment, or when they touch a file.

    Returns:
        How many were killed where.
    """
    killed: Counter[str] = Counter()
    seconds = 1.0
    while killed.total() < KILLS:
        world.grow()
        stage = STAGES[killed.total() % len(STAGES)]
        step = world.chance.randint(1, 4)
        child = processes.Process(target=_until, args=(stage, step, build))
        child.start()
        child.join(world.chance.uniform(0, seconds) if stage == ANYWHERE else None)
        child.kill()
        child.join()
        if child.exitcode != 0:
            killed[stage] += 1
        elif stage == ANYWHERE:
            seconds *= 0.8
        child.close()
    return killed


def _until(stage: str, step: int, build: Callable[[], object]) -> None:
    """Build, and be killed when a file in a stage's folder is touched for the given time."""
    steps = count(1)

    def touched(event: str, arguments: tuple[object, ...]) -> None:
        is_one = event in ("open", "os.mkdir", "os.rename") and f"/killed/{stage}/" in str(
            arguments[0]
        )
        if is_one and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(touched)
    build()


def test_killed_anywhere_it_is_the_same_dataset(
    world: World, own: Workspace, tmp_path: Path
) -> None:
    """Twelve builds are killed while all sources grow; the next explains each row.

    It is the version that is built from the beginning elsewhere.
    """
    database_url = f"sqlite:///{own.database}"
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    processes = mp.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    _kill_builds(processes, world, partial(_build, killed, world.task, database_url))
    built = _build(killed, world.task, database_url)
    assert built.outcome_counts.keys() == {"kept", "merged", "left_out", "quarantined"}
    assert all(built.outcome_counts.values())
    counts = {_kind(name): Counter(found) for name, found in built.source_counts.items()}
    assert {name: found.total() for name, found in counts.items()} == world.rows
    aside = pl.read_parquet(Path(built.uri) / "quarantine.parquet")
    assert len(aside) + sum(built.row_counts.values()) == world.rows.total()
    assert aside["origin"].n_unique() == len(aside)
    again = _build(whole, world.task, database_url)
    assert again.dataset_version == built.dataset_version
    assert again.source_counts == built.source_counts
    once_more = _build(killed, world.task, database_url)
    assert replace(once_more, build_time=built.build_time) == built
    assert not list(killed.rglob(".staged-*"))


def _kind(source: str) -> str:
    if "jsonl" in source:
        return "files"
    return next((kind for kind in ("http", "feedback") if kind in source), "sql")
