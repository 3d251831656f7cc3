"""Every command of the guides' blocks, run in the order of the pages on one stack."""

import io
import json
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, closing, redirect_stderr, redirect_stdout
from datetime import timedelta
from pathlib import Path

import pytest

from tests.e2e.conftest import write_rows
from tests.integration.server.front import Workspace
from tests.integration.server.models import LABELS, WORDS, TinyModel
from tests.plugins.stack import Stack, running
from tests.plugins.waiting import wait_until
from tests.unit.test_commands_of_the_docs import commands_of_blocks
from tidemill_cli.main import run
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import Scope
from tidemill_core.domain.alert import Alert, Severity
from tidemill_core.domain.model import ModelState
from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.storage.api_keys import NewApiKey
from tidemill_core.storage.database import Page

FOLLOWED = {
    "README.md": "test_cli.py",
    "docs/bring-your-own-model.md": "test_bring_your_own_model.py",
    "docs/replay.md": "test_replay.py",
    "docs/sagemaker.md": "tests/integration/jobs/release/test_sagemaker.py",
    "docs/tutorial.md": "test_tutorial.py",
}
"""Pages whose commands another test runs."""
ELSEWHERE = {
    "tidemill up": "each test of this folder",
    "tidemill jobs run retrain --task support --follow": "test_cli.py",
    "tidemill label --task support": "tests/integration/clients/test_cli_label.py",
    "tidemill predict helpful": "test_preferences.py",
}
"""The beginnings of commands that another test runs."""
TEXTS = [f"{a} {b} {c}" for a in WORDS[:9] for b in WORDS[:9] for c in ("today", "again")]
ROWS = [
    (text, LABELS[best])
    for text, best in zip(TEXTS, TinyModel(1).offline(TEXTS).argmax(axis=1), strict=True)
]
RUN_SECONDS = 120


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Run a stack with the tasks `support` and `tickets`, and the files that the guides name."""
    folder = tmp_path / "desk"
    folder.mkdir()
    (tmp_path / "backups").mkdir()
    workspace = Workspace(folder, {"support": 3, "tickets": 1})
    for _ in range(2):
        workspace.publish("support", ModelState.AWAITING_APPROVAL)
    for name in ("rows.csv", "labeled.csv"):
        write_rows(folder / name, ROWS)
    lines = ["text,body,queue", *(f"{text},{text},{label}" for text, label in ROWS)]
    (folder / "tickets.csv").write_text("\n".join(lines))
    with closing(sqlite3.connect(folder / "warehouse.db")) as database:
        database.execute("CREATE TABLE tickets (text TEXT)")
        database.executemany("INSERT INTO tickets VALUES (?)", [(text,) for text in TEXTS])
        database.commit()
    source = 'sources = [{ path = "rows.csv" }]'
    settings = [
        '[schedule]\ncheck_feedback = ""\ncheck_latency = ""\n'
    ]  # the guides' runs do not wait
    settings += [f"[tasks.{task}]\n{source}\n" for task in ("support", "tickets")]
    (folder / "tidemill.toml").write_text("".join(settings))
    warehouse = {"WAREHOUSE_URL": f"sqlite:///{folder / 'warehouse.db'}"}
    with running(Stack(folder, warehouse)) as started:
        for name, value in started.env.items():
            monkeypatch.setenv(name, value)
        yield started


class Reader:
    """A person who types the guides' commands, with what this stack has in place of their ids."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._folder = stack.workspace
        self._storage = stack.storage()
        self._shown: dict[str, str] = {}
        with stack.client() as client:
            answers = client.predict_batch("support", TEXTS[:60])
        prediction_ids = [each.prediction_id for each in answers if not isinstance(each, Exception)]
        first, second = self._build("today"), self._build("tomorrow")
        alert, now = self._alert(), system_clock()
        key = NewApiKey("shop", frozenset(Scope), frozenset())
        self._shown |= {
            **dict.fromkeys(("703d7def", "9c8fcde1"), first),
            **dict.fromkeys(("c3a9c787", "b39998ba"), second),
            "5f0c2e9a": alert.alert_id,
            "REPORT_ID": alert.report_id,
            "PREDICTION_ID": prediction_ids[0],
            "0a1b2c3d4e5f": self._storage.api_keys.create(key, now)[0].key_id,
            "/backups": str(self._folder.parent / "backups"),
            "#support.": "#",  # SQLite has no schemas
            "--model-version 4 --against 3": "--model-version 3 --against 1",
        }

    def follow(self, command: str) -> str:
        """Run a command, and the run that it starts; return what went wrong."""
        for shown, ours in self._shown.items():
            command = command.replace(shown, ours)
        command = re.sub(r"(?<=--label )\w+", "card", command)  # the tiny model has other labels
        words = shlex.split(command, comments=True)[1:]
        self._prepare(words)
        code, said = self._run(words)
        if code != 0:
            return f"exit code {code}: {said[-500:]}"
        return self._end_of_run(words[2]) if words[:2] == ["jobs", "run"] else ""

    def _prepare(self, words: list[str]) -> None:
        """Remove what an earlier page made, and annotate what an earlier command exported."""
        (self._folder / "train.jsonl").unlink(missing_ok=True)
        if words[0] == "init":
            shutil.rmtree(self._folder / words[1], ignore_errors=True)
        if words[:2] == ["label", "import"]:
            tasks = json.loads((self._folder / "waiting.json").read_text())
            choice = {"from_name": "label", "type": "choices", "value": {"choices": ["card"]}}
            for task in tasks:
                task["annotations"] = [{"completed_by": 1, "result": [choice]}]
            (self._folder / words[2]).write_text(json.dumps(tasks))

    def _run(self, words: list[str]) -> tuple[int, str]:
        """Run a command; return its exit code and what it said."""
        if words[0] == "restore":
            folder = self._folder.parent / "restored"
            folder.mkdir()
            shutil.copy(self._folder / "tidemill.toml", folder)
            return self._in_a_process(words, folder)
        if words[-1] == "-" or words[0] == "label":
            return self._in_a_process(words, self._folder)
        said = io.StringIO()
        with chdir(self._folder), redirect_stdout(said), redirect_stderr(said):
            return run(words), said.getvalue()

    def _in_a_process(self, words: list[str], folder: Path) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "tidemill_cli.main", *words],
            cwd=folder,
            env=self._stack.env,
            input="my card was lost\n",
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def _end_of_run(self, job: str) -> str:
        """Wait for the newest run of a job; return why it failed."""
        run = self._storage.jobs.page(job, "", Page(1))[0][0]
        wait_until(
            lambda: self._storage.jobs.get(run.run_id).state.ended, f"{job} ends", RUN_SECONDS
        )
        return self._storage.jobs.get(run.run_id).error

    def _build(self, word: str) -> str:
        """Build a dataset version with one more row, and return its id."""
        write_rows(self._folder / "rows.csv", [*ROWS, (f"my card was lost {word}", "card")])
        assert self.follow("tidemill jobs run build_dataset --task support") == ""
        return self._storage.datasets.page("support", Page(1))[0][0].dataset_version

    def _alert(self) -> Alert:
        """Raise an alert about drift."""
        now = system_clock()
        report = Report(
            "a" * 32, "support", "drift", 1, ReportVerdict.ALERT, "labels drifted", {}, "", now
        )
        raise_alert = self._storage.alerts.raise_alert
        return raise_alert(report, Severity.WARNING, "Look at it.", [], timedelta(0))


def test_every_command_of_the_guides_succeeds(stack: Stack) -> None:
    """Each does, in the order of the pages, and so does each run that one of them starts."""
    reader = Reader(stack)
    failed = [
        (place, command, problem)
        for place, command in commands_of_blocks()
        if (place.partition(":")[0] not in FOLLOWED or command.startswith("tidemill init"))
        and not command.startswith(tuple(ELSEWHERE))
        and (problem := reader.follow(command))
    ]
    assert failed == []
