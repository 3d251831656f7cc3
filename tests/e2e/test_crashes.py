"""Failures of a whole stack: crashes, second stacks, and what must survive them."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import grpc
import psutil
import pytest

from tests.e2e.conftest import write_rows
from tests.plugins.stack import HARD_NAME, Stack, write_workspace
from tests.plugins.waiting import wait_until
from tidemill.v1 import feedback_service_pb2, model_service_pb2
from tidemill.v1.prediction_service_pb2 import PredictRequest
from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tidemill_client import TidemillError
from tidemill_core.domain.model import ModelState
from tidemill_core.model_repository import ModelRepository

TASK = "colors"
ROWS = [(f"text number {n} is {word}", word) for n in range(30) for word in ("red", "blue")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run a stack with one small task; a test that stops it starts it again."""
    folder = tmp_path_factory.mktemp("crashes") / HARD_NAME
    folder.mkdir()
    source = write_rows(folder / "colors.csv", ROWS)
    whole = Stack(write_workspace(folder, {TASK: source}))
    whole.start()
    try:
        whole.wait_ready(120)
        yield whole
    finally:
        whole.stop()


def versions(stack: Stack) -> list[int]:
    """Return the numbers of all versions of the task."""
    request = model_service_pb2.ListModelVersionsRequest(task=TASK)
    with stack.client() as client:
        listed = client.models.ListModelVersions(request, timeout=10).model_versions
    return [version.model_version for version in listed]


def test_second_stack_on_the_same_state_is_refused(stack: Stack) -> None:
    """A second stack ends at once, names the directory and its holder, and does no harm."""
    refused = stack.run("up", check=False)
    assert refused.returncode != 0
    assert str(stack.workspace / "var") in refused.stderr.replace("\n", "")
    with stack.client() as client:
        assert client.predict(TASK, "it is red").label


def test_what_it_writes_is_for_its_own_user_alone(stack: Stack) -> None:
    """Only Tidemill's own user may read the database, logs, datasets and models."""
    state, models = stack.workspace / "var", stack.workspace / "model_repository"
    programs = state / "triton"  # copies of programs, in a private folder
    written = [p for p in (*state.rglob("*"), *models.rglob("*")) if programs not in p.parents]
    assert len(written) > 10
    assert not [path for path in written if path.exists() and path.stat().st_mode & 0o077]


def test_second_stack_on_the_same_ports_is_refused(stack: Stack, tmp_path: Path) -> None:
    """A stack whose port is in use ends at once and names the port and its setting."""
    source = write_rows(tmp_path / "colors.csv", ROWS)
    other = Stack(write_workspace(tmp_path, {TASK: source}))
    other.env = {**stack.env}
    refused = other.run("up", check=False)
    assert refused.returncode != 0
    assert stack.env["TIDEMILL_GRPC_PORT"] in refused.stderr
    assert "TIDEMILL_GRPC_PORT" in refused.stderr


def _well_again(outcomes: list[tuple[float, str]]) -> bool:
    failed = [moment for moment, outcome in outcomes if outcome != "OK"]
    return bool(failed) and time.monotonic() - failed[-1] > 1


@pytest.mark.parametrize("victim", ["--model-repository", "triton_python_backend_stub"])
def test_triton_killed_under_load_serves_again_by_itself(stack: Stack, victim: str) -> None:
    """After kill -9 of tritonserver, or of a model's process, calls are answered again within 15 s.

    The callers are plain stubs: Tidemill's own client would retry and hide the outage.
    """
    stopping = threading.Event()
    outcomes: list[tuple[float, str]] = []

    def call() -> None:
        request = PredictRequest(task=TASK, text="it is red")
        with grpc.insecure_channel(stack.address) as channel:
            stub = PredictionServiceStub(channel)
            while not stopping.is_set():
                try:
                    stub.Predict(request, timeout=5)
                    outcomes.append((time.monotonic(), "OK"))
                except grpc.RpcError as error:
                    code = cast("grpc.Call", error).code()
                    outcomes.append((time.monotonic(), code.name))
                    time.sleep(0.02)

    callers = [threading.Thread(target=call) for _ in range(8)]
    for caller in callers:
        caller.start()
    wait_until(lambda: len(outcomes) > 100, "the callers are answered")
    stack.member(victim).kill()
    killed = time.monotonic()
    try:
        wait_until(lambda: _well_again(outcomes), "calls fail, then are answered for a second", 15)
    finally:
        stopping.set()
        for caller in callers:
            caller.join()
    failed = [moment for moment, outcome in outcomes if outcome != "OK"]
    assert {outcome for _, outcome in outcomes} == {"OK", "UNAVAILABLE"}
    assert max(failed) - killed < 15
    assert _well_again(outcomes)


def test_a_model_cut_in_half_does_not_keep_triton_from_starting(stack: Stack) -> None:
    """After a start with a damaged second version the champion answers, and the log reports it."""
    repository = ModelRepository(stack.workspace / "model_repository")
    champion = repository.manifest(TASK, "onnx", 1)
    folder = repository.folder(TASK, "onnx", 1)
    model = (folder / "model.onnx").read_bytes()
    second = replace(champion, version=2)
    cut = repository.publish(second, model, (folder / "tokenizer.json").read_text()) / "model.onnx"
    cut.write_bytes(model[: len(model) // 2])
    storage, now = stack.storage(), datetime.now(UTC)
    storage.models.add_candidate(TASK, "onnx", champion.dataset_version, now)
    storage.models.judge(TASK, 2, ModelState.VALIDATED, champion.measures, "passed", now)
    storage.database.close()
    log = stack.workspace / "var" / "logs" / "triton.log"
    told = log.stat().st_size
    stack.member("--model-repository").kill()
    wait_until(
        lambda: log.stat().st_size > told and _ask(stack, 0) == "version 1",
        "Triton logs, and the champion answers",
        15,
    )
    assert _ask(stack, 2) not in ("version 2", "version 1")
    said = log.read_bytes()[told:].decode()
    assert "version_damaged" in said
    assert json.dumps(str(cut))[1:-1] in said  # log lines are ASCII


def _ask(stack: Stack, version: int) -> str:
    """Return the version that answered, or why none did."""
    with stack.client(timeout=5) as client:
        try:
            return (
                f"version {client.predict(TASK, 'it is red', model_version=version).model_version}"
            )
        except TidemillError as error:
            return error.reason


def test_acknowledged_feedback_survives_kill_9_of_everything(stack: Stack) -> None:
    """After 100 acknowledged verdicts and a kill of every process, all 100 are stored."""
    with stack.client() as client:
        answers = client.predict_batch(TASK, [text for text, _ in ROWS] + [t for t, _ in ROWS[:40]])
        acknowledged = {
            client.submit_feedback(answer.prediction_id, correct=True).feedback_id
            for answer in answers
            if not isinstance(answer, Exception)
        }
    stack.kill()
    assert len(acknowledged) == 100
    stack.start()
    stack.wait_ready(60)
    request = feedback_service_pb2.ListFeedbackRequest(task=TASK, page_size=1000)
    with stack.client() as client:
        found = client.feedback.ListFeedback(request, timeout=10).feedback
    assert acknowledged <= {verdict.feedback_id for verdict in found}


def test_interrupt_leaves_nothing_behind_and_restart_does_not_train(stack: Stack) -> None:
    """Ctrl-C ends every process; the next start is ready within 20 s with the same versions."""
    before = versions(stack)
    members = stack.members()
    assert len(members) >= 4
    assert stack.stop() == 0
    _, alive = psutil.wait_procs(members, timeout=5)
    assert not alive
    stack.start()
    assert stack.wait_ready(20) < 20
    assert versions(stack) == before
