"""`tidemill status` against the real front: why a task does not answer, and what to do."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.integration.server.front import NOW, Front, Workspace
from tests.integration.server.refusal import refusal
from tests.plugins.triton import RunningTriton
from tidemill.v1.prediction_service_pb2 import PredictRequest
from tidemill_cli.main import run
from tidemill_cli.startup import Startup
from tidemill_core.domain.job import JobRunState
from tidemill_core.domain.model import ModelState
from tidemill_core.settings import load_settings
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.jobs import RunRequest
from tidemill_core.storage.models import ModelStore

RETRAIN = "run: tidemill jobs run retrain --task untrained"


@pytest.fixture
def problems(capsys: pytest.CaptureFixture[str]) -> Callable[[Front], dict[str, str]]:
    """Run `tidemill status`, and return each task's problem, which its error has too."""

    def ask(front: Front) -> dict[str, str]:
        capsys.readouterr()
        assert run(["status", "--address", front.address, "--json"]) == 1
        printed = capsys.readouterr()
        found: list[dict[str, Any]] = json.loads(printed.out)["tasks"]
        told = {one["task"]: str(one["problem"]) for one in found}
        assert all(problem in printed.err for problem in told.values())
        return told

    return ask


def test_a_task_without_a_champion(
    front: Front, workspace: Workspace, problems: Callable[[Front], dict[str, str]]
) -> None:
    """The status has its training while it waits, and the cause once it has failed."""
    jobs = workspace.storage.jobs

    def queue() -> str:
        return jobs.enqueue(RunRequest("retrain", "untrained", "first_model"), NOW).run_id

    jobs.enqueue(RunRequest("retrain", "gone", "first_model"), NOW)
    waiting = queue()
    told = problems(front)
    assert "gone" not in told
    assert told["support"] == ""
    assert f"tidemill jobs watch {waiting}" in told["untrained"]
    while (claimed := jobs.claim(NOW)) is not None and claimed.run_id != waiting:
        jobs.mark_canceled(claimed.run_id, NOW)
    jobs.fail(waiting, "TRITON_UNAVAILABLE: Triton does not answer", NOW)
    assert jobs.get(waiting).state is JobRunState.FAILED
    assert "see Triton's log" in problems(front)["untrained"]
    assert problems(front)["untrained"].endswith(RETRAIN)
    jobs.cancel(queue(), NOW)
    assert "its training was canceled" in problems(front)["untrained"]


def test_a_damaged_champion(
    tmp_path: Path, triton: RunningTriton, problems: Callable[[Front], dict[str, str]]
) -> None:
    """A champion that cannot be read is reported, with what makes the task answer again."""
    workspace = Workspace(tmp_path, {"support": 1})
    folder = workspace.repository.folder("support", "onnx", 1)
    (folder / "tokenizer.json").write_text("{")
    with Front(workspace, triton.grpc_address) as front:
        told = problems(front)["support"]
        asked = PredictRequest(task="support", text="card")
        refused = refusal(lambda: front.predictions.Predict(asked, timeout=5))
    assert told == refused.message
    assert "tidemill models rollback support" in told
    assert "tidemill jobs run retrain --task support" in told


def test_a_champion_that_triton_has_not_loaded(
    tmp_path: Path, triton: RunningTriton, problems: Callable[[Front], dict[str, str]]
) -> None:
    """A champion that is only missing in Triton is not reported as missing or in training."""
    with Front(Workspace(tmp_path, {"unloaded": 1}), triton.grpc_address) as front:
        told = problems(front)["unloaded"]
    assert told.startswith("version 1 of unloaded is not loaded in Triton")
    assert "tidemill models rollback unloaded" in told


def test_a_database_that_is_away(
    tmp_path: Path,
    triton: RunningTriton,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The status shows that the tasks still answer, and its error says what is wrong.

    So does the status of a server elsewhere, whose tasks and versions the server itself names. The
    command does not connect to the database to look for a pending migration.
    """
    workspace = Workspace(tmp_path, {"support": 1})
    monkeypatch.chdir(tmp_path)
    with Front(workspace, triton.grpc_address) as front:
        monkeypatch.setenv("TIDEMILL_GRPC_PORT", front.address.rpartition(":")[2])
        assert run(["status"]) == 0
        with workspace.storage.database.write() as connection:
            connection.execute(text("ALTER TABLE model_versions RENAME TO away"))
        for command in (["status"], ["status", "--address", front.address]):
            capsys.readouterr()
            assert run(command) == 1
            printed = capsys.readouterr()
            shown = [line.split() for line in printed.out.splitlines()[1:3]]
            assert shown == [["(server)", "SERVING"], ["support", "SERVING", "version", "1"]]
            assert printed.err == (
                "error: the database cannot be reached, is locked or is full; tasks that are "
                "SERVING still answer predictions\n"
            )
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.setblocking(False)
            there = f"postgresql+psycopg://ann@127.0.0.1:{silent.getsockname()[1]}/mill"
            monkeypatch.setenv("TIDEMILL_DATABASE_URL", there)
            assert run(["status"]) == 1
            with pytest.raises(BlockingIOError):
                silent.accept()  # the command did not ask a database that is known to be away
        capsys.readouterr()
        assert run(["status", "--address", front.address, "--json"]) == 1
        (task,) = json.loads(capsys.readouterr().out)["tasks"]
        assert (task["champion"], task["canaries"], task["versions"]) == (1, [], None)


def test_a_start_names_a_damaged_champion_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tidemill up` reports a champion that cannot be loaded, instead of waiting in silence."""
    workspace = Workspace(tmp_path, {"support": 1, "whole": 1})
    model = workspace.repository.folder("support", "onnx", 1) / "model.onnx"
    model.write_bytes(b"damaged")
    monkeypatch.chdir(tmp_path)
    with Startup(load_settings()) as startup:
        damaged, whole = startup.look()
        assert (whole.message, whole.new_error) == ("loading its champion", "")
        assert damaged.message == "its champion is damaged"
        assert str(model) in damaged.new_error
        assert "tidemill models rollback support" in damaged.new_error
        assert startup.look()[0].new_error == ""


def test_a_first_version_that_waits_for_an_approval(
    tmp_path: Path,
    triton: RunningTriton,
    problems: Callable[[Front], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`status` and `up` name the version and the command that approves it, `up` once."""
    workspace = Workspace(tmp_path, {"support": 0})
    models, jobs = workspace.storage.models, workspace.storage.jobs
    run_id = jobs.enqueue(RunRequest("retrain", "support", "first_model"), NOW).run_id
    assert jobs.claim(NOW) is not None
    models.add_candidate("support", "onnx", "d" * 64, NOW)
    models.judge("support", 1, ModelState.AWAITING_APPROVAL, {}, "passed 10 gates", NOW)
    jobs.succeed(run_id, {"state": "AWAITING_APPROVAL", "model_version": 1}, NOW)
    approve = "tidemill models approve support 1"
    monkeypatch.chdir(tmp_path)
    with Startup(load_settings()) as startup:
        (task,) = startup.look()
        assert task.message == "waits for an approval"
        assert task.new_error.endswith(approve)
        assert startup.look()[0].new_error == ""
    with Front(workspace, triton.grpc_address) as front:
        assert problems(front)["support"].endswith(approve)
        check_later_approvals(models, front, capsys)


def check_later_approvals(
    models: ModelStore, front: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    """Check a second approval, and a version that waits beside a champion."""
    models.approve("support", 1, Change("ann", "checked", "", NOW))
    models.promote("support", 1, Change("ann", "", "", NOW))
    models.add_candidate("support", "onnx", "d" * 64, NOW)
    models.judge("support", 2, ModelState.AWAITING_APPROVAL, {}, "passed 10 gates", NOW)
    assert run(["models", "approve", "support", "1", "--address", front.address]) == 0
    assert "ann had approved it before: nothing changed" in "".join(capsys.readouterr())
    reject = ["models", "reject", "support", "2", "--address", front.address]
    assert run(reject) == 2
    assert "--comment" in capsys.readouterr().err
    run(["status", "--address", front.address])
    told = " ".join("".join(capsys.readouterr()).split())
    assert "version 2 of support waits for an approval" in told
    assert "tidemill models approve support 2" in told
    assert "tidemill models reject support 2 --comment WHY" in told
    assert run([*reject, "--comment", "worse on refunds"]) == 0
    assert "worse on refunds" in capsys.readouterr().out
    assert models.get("support", 2).state is ModelState.REJECTED
