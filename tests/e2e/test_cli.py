"""The command line and the README's snippets, against a running stack."""

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.conftest import Tidemill, as_json, write_rows
from tests.plugins.stack import HARD_NAME, Stack, write_workspace
from tests.plugins.waiting import wait_until

README = Path(__file__).parents[2] / "README.md"
TASK = "support"
WORDS = {"card_arrival": "where is my card", "refund": "give me my money back"}
ROWS = [(f"{text} {n}", label) for n in range(60) for label, text in WORDS.items()]
JOBS = (
    "build_dataset", "retrain", "reproduce_model", "rollout", "check_feedback", "check_drift",
    "check_accuracy", "check_latency", "find_label_errors", "queue_labels", "expire_predictions",
    "expire_texts", "erase_texts", "send_tracking", "write_evidently",
)  # fmt: skip
IDLE = ("check_feedback", "rollout")
"""Of these, `jobs runs` leaves out the runs that had nothing to do."""
TEXT = "where is my card 7"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run a stack with one small task and checks with low limits."""
    folder = tmp_path_factory.mktemp("cli") / HARD_NAME
    folder.mkdir()
    source = write_rows(folder / "rows.csv", ROWS)
    # A scheduled check of the latency would end the alert that the test asks for.
    schedule = "[schedule]\ncheck_feedback = ''\ncheck_latency = ''\n"
    extra = f"{schedule}[monitoring]\nmin_predictions = 1\n"
    whole = Stack(write_workspace(folder, {TASK: source}, extra))
    whole.start()
    try:
        whole.wait_ready()
        yield whole
    finally:
        whole.stop()


@pytest.mark.parametrize("job", JOBS)
def test_every_job_runs_to_its_end(stack: Stack, tidemill: Tidemill, job: str) -> None:
    """Each job that is started and followed through the front ends SUCCEEDED."""
    settings = stack.workspace / "tidemill.toml"
    usual = settings.read_text()
    if job == "check_latency":
        # Not before: no model would pass its gates with this limit.
        low = "[monitoring]\nmax_p99_latency_ms = 0.001\n"
        settings.write_text(usual.replace("[monitoring]\n", low))
        answered = as_json(tidemill, "predict", TASK, TEXT)
        storage = stack.storage()
        is_stored = partial(storage.predictions.texts_and_labels, [answered["prediction_id"]])
        wait_until(is_stored, "the prediction is stored")
        storage.database.close()
    events = tidemill("jobs", "run", job, "--task", TASK, "--follow", "--json")
    ran = json.loads(events.splitlines()[-1])
    expected = {"job": job, "task": TASK, "state": "SUCCEEDED", "trigger": "rpc"}
    assert ran.items() >= expected.items()
    settings.write_text(usual)


def test_the_checks_have_written_their_reports(tidemill: Tidemill) -> None:
    """Drift, accuracy and latency are listed and shown; the slow answer raised an alert."""
    reports = as_json(tidemill, "reports", "list", "--task", TASK)
    assert {report["kind"] for report in reports} == {"drift", "accuracy", "latency"}
    assert "p99 latency" in tidemill("reports", "list", "--kind", "latency")
    shown = as_json(tidemill, "reports", "show", reports[0]["report_id"])
    assert shown == reports[0]
    assert reports[0]["summary"] in tidemill("reports", "show", reports[0]["report_id"])
    (alert,) = as_json(tidemill, "alerts", "list", "--unacknowledged")
    assert (alert["kind"], alert["task"]) == ("latency", TASK)
    assert alert["alert_id"] in tidemill("alerts", "list", "--task", TASK)
    assert "acknowledged by" in tidemill("alerts", "acknowledge", alert["alert_id"])
    assert as_json(tidemill, "alerts", "acknowledge", alert["alert_id"])["acknowledged_by"]
    assert as_json(tidemill, "alerts", "list", "--unacknowledged") == []


def test_status(stack: Stack, tidemill: Tidemill) -> None:
    """`status` shows all serving, with the workspace's settings and with an address alone."""
    assert re.search(rf"^{TASK} +SERVING +version \d+ +\d", tidemill("status"), re.MULTILINE)
    assert as_json(tidemill, "status", "--wait", "5")["serving"] is True
    found = as_json(tidemill, "status", "--address", stack.address)
    assert [task["task"] for task in found["tasks"]] == [TASK]


def test_predict(stack: Stack, tidemill: Tidemill) -> None:
    """One text, several, and lines from stdin are answered, with an error in its own place."""
    assert re.search(r"^label +card_arrival\b", tidemill("predict", TASK, TEXT), re.MULTILINE)
    one = as_json(tidemill, "predict", TASK, TEXT, "--top-k", "2")
    assert [score["label"] for score in one["scores"]] == ["card_arrival", "refund"]
    several = ("predict", TASK, TEXT, "money back")
    assert [answer["label"] for answer in as_json(tidemill, *several)] == ["card_arrival", "refund"]
    assert len(tidemill(*several).splitlines()) == 3
    command = [sys.executable, "-m", "tidemill_cli.main", "predict", TASK, "-", "--json"]
    piped = subprocess.run(
        command,
        cwd=stack.workspace,
        env=stack.env,
        input=f"{TEXT}\n\n".encode(),
        capture_output=True,
        check=False,
    )
    good, bad = json.loads(piped.stdout)
    assert (piped.returncode, good["label"]) == (1, "card_arrival")
    assert bad["error"]["code"] == "INVALID_ARGUMENT"
    assert "UNKNOWN_TASK" in tidemill("predict", "nobody", TEXT, ends_with=2)


def test_feedback(stack: Stack, tidemill: Tidemill) -> None:
    """A verdict is stored and listed; of a file, good lines are stored and bad lines named."""
    ids = [as_json(tidemill, "predict", TASK, TEXT)["prediction_id"] for _ in range(3)]
    stored = as_json(tidemill, "feedback", "submit", ids[0], "--label", "refund")
    assert "correct" in tidemill("feedback", "submit", ids[1], "--correct", "--source", "ann")
    listed = as_json(tidemill, "feedback", "list", "--prediction-id", ids[0])
    assert listed == [stored]
    assert "label refund" in tidemill("feedback", "list", "--task", TASK)
    file = stack.workspace / "verdicts.jsonl"
    file.write_text(json.dumps({"prediction_id": ids[2], "correct": True}) + "\n{}\n")
    said = tidemill("feedback", "import", str(file), ends_with=1)
    assert re.search(r"^accepted +1$", said, re.MULTILINE)
    assert "not stored: 1" in said
    file.write_text(json.dumps({"prediction_id": ids[2], "correct": False}) + "\n")
    assert as_json(tidemill, "feedback", "import", str(file))["accepted"] == 1
    assert "INVALID_PREDICTION_ID" in tidemill("feedback", "submit", "x", "--correct", ends_with=2)


def test_models(tidemill: Tidemill) -> None:
    """Versions, the champion and every change of traffic are shown; illegal steps are refused."""
    versions = as_json(tidemill, "models", "list", "--task", TASK)
    assert [version["model_version"] for version in versions] == [2, 1]
    assert "CHAMPION" in tidemill("models", "list")
    champion = as_json(tidemill, "models", "show", TASK)
    assert as_json(tidemill, "models", "show") == champion, "the only task need not be named"
    assert champion["state"] == "CHAMPION"
    assert champion["dataset_version"] in tidemill("models", "show", TASK, "1")
    traffic = as_json(tidemill, "models", "traffic", TASK)
    assert traffic["champion"] == champion["model_version"]
    assert "champion" in tidemill("models", "traffic", TASK)
    assert as_json(tidemill, "models", "deployments")[0] == traffic
    assert "retrain" in tidemill("models", "deployments", TASK)
    assert "error" in tidemill("models", "promote", TASK, "9", ends_with=2)
    assert "error" in tidemill("models", "traffic", TASK, "--shadow", "9", ends_with=2)
    assert "error" in tidemill("models", "rollback", "nobody", ends_with=2)


def test_datasets(stack: Stack, tidemill: Tidemill) -> None:
    """A model's training data is shown and compared with the next dataset."""
    (first,) = as_json(tidemill, "datasets", "list", "--task", TASK)
    with (stack.workspace / "rows.csv").open("a", newline="") as file:
        csv.writer(file).writerow(("I lost my card", "card_arrival"))
    tidemill("jobs", "run", "build_dataset", "--task", TASK)
    second, again = as_json(tidemill, "datasets", "list")
    assert again == first
    assert second["dataset_version"][:12] in tidemill("datasets", "list")
    short = [one["dataset_version"][:8] for one in (first, second)]
    asked = ("--address", stack.address)
    counts = ("task", "row_counts", "label_counts", "quarantine_counts", "parents")
    for shown in (
        as_json(tidemill, "datasets", "show", short[0]),
        as_json(tidemill, "datasets", "show", short[0], *asked),
    ):
        assert {name: shown[name] for name in counts} == {name: first[name] for name in counts}
    assert as_json(tidemill, "datasets", "show")["dataset_version"] == second["dataset_version"]
    assert "card_arrival" in tidemill("datasets", "show", short[1])
    found = as_json(tidemill, "datasets", "diff", *short)
    assert found["row_count"] == found["base_row_count"] + 1
    assert (found["rows_in"], found["rows_out"], found["relabelled"]) == (1, 0, 0)
    by_counts = as_json(tidemill, "datasets", "diff", *short, *asked)
    assert by_counts["label_changes"] == found["label_changes"]
    shown = tidemill("datasets", "diff", *short)
    before = first["label_counts"]["card_arrival"]
    assert re.search(rf"^card_arrival +{before} +{before + 1} +\+1\b", shown, re.MULTILINE)


def test_a_backup_answers_elsewhere(stack: Stack, tidemill: Tidemill, tmp_path: Path) -> None:
    """Another machine answers with the same versions, trains nothing, and knows old predictions."""
    with stack.client() as client:
        before = client.predict(TASK, TEXT)
    backup = tmp_path / "backup.tar"
    assert json.loads(tidemill("backup", str(backup), "--json"))["row_counts"]["model_versions"]
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.copy(stack.workspace / "tidemill.toml", folder)
    other = Stack(folder)
    assert "restored" in other.run("restore", str(backup)).stderr
    other.start()
    try:
        other.wait_ready()
        with other.client() as client:
            after = client.predict(TASK, TEXT)
            assert (after.label, after.confidence) == (before.label, before.confidence)
            assert after.model_version == before.model_version
            client.submit_feedback(before.prediction_id, correct=True)
    finally:
        other.stop()


def test_jobs(tidemill: Tidemill) -> None:
    """Jobs and runs are listed, shown, watched and canceled; idle checks only on request."""
    every_job = {*JOBS, "import_model", "score", "evaluate", "send_arize"}
    assert {job["job"] for job in as_json(tidemill, "jobs", "list")} == every_job
    assert "on demand" in tidemill("jobs", "list")
    runs = as_json(tidemill, "jobs", "runs", "--task", TASK)
    assert {run["job"] for run in runs} == {*JOBS} - {*IDLE}
    every = as_json(tidemill, "jobs", "runs", "--all")
    (idle, unneeded) = (as_json(tidemill, "jobs", "runs", "--job", job)[0] for job in IDLE)
    known = (*runs, idle, unneeded)
    assert sorted(run["run_id"] for run in every) == sorted(run["run_id"] for run in known)
    assert "SUCCEEDED" in tidemill("jobs", "runs")
    assert as_json(tidemill, "jobs", "show", idle["run_id"]) == idle
    assert "TOO_FEW" in tidemill("jobs", "show", idle["run_id"])
    assert as_json(tidemill, "jobs", "watch", idle["run_id"]) == {"event": "run", **idle}
    assert as_json(tidemill, "jobs", "cancel", idle["run_id"])["state"] == "SUCCEEDED"
    queued = as_json(tidemill, "jobs", "run", "retrain", "--task", TASK, "--no-follow")
    tidemill("jobs", "cancel", queued["run_id"])
    assert "CANCELLED" in tidemill("jobs", "watch", queued["run_id"], ends_with=1)
    assert "UNKNOWN_JOB" in tidemill("jobs", "run", "nothing", "--task", TASK, ends_with=2)


def test_everything_lies_in_the_workspace(stack: Stack) -> None:
    """A stack in a folder with special characters writes nothing outside it."""
    assert list(stack.workspace.parent.iterdir()) == [stack.workspace]


def test_doctor(tidemill: Tidemill) -> None:
    """With a running stack, doctor finds everything in order, including its ports."""
    assert "ok" in tidemill("doctor")
    assert {check["result"] for check in as_json(tidemill, "doctor")} <= {"ok", "warn"}


def test_the_python_of_the_readme_runs(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    """The README's Python blocks, run in order, predict and store a verdict."""
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    script = "\n".join(blocks)
    assert "127.0.0.1:50051" in script
    exec(script.replace("127.0.0.1:50051", stack.address), {})  # noqa: S102 -- our own README
    assert capsys.readouterr().out.startswith("card_arrival ")


def test_the_shell_of_the_readme_runs(stack: Stack, tidemill: Tidemill) -> None:
    """The README's commands for a running stack succeed in order."""
    prediction_id = as_json(tidemill, "predict", TASK, TEXT)["prediction_id"]
    verdict = {"prediction_id": prediction_id, "label": "card_arrival"}
    (stack.workspace / "corrections.jsonl").write_text(json.dumps(verdict) + "\n")
    running = README.read_text().partition("## Your own data")[0]
    lines = re.findall(r"^\$ tidemill (.*)$", running, re.MULTILINE)
    assert len(lines) >= 8
    for line in lines:
        words = shlex.split(line.replace("PREDICTION_ID", prediction_id), comments=True)
        tidemill(*words)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_http_call_of_the_readme_runs(stack: Stack) -> None:
    """It needs no task, because the workspace has one."""
    [line] = re.findall(r"^\$ (curl .*)$", README.read_text(), re.MULTILINE)
    command = line.replace("http://127.0.0.1:8080", stack.http_url)
    done = subprocess.run(
        ["bash", "-ec", command], capture_output=True, text=True, timeout=30, check=True
    )
    assert json.loads(done.stdout)["label"] == "card_arrival"


def test_score_and_evaluate(stack: Stack, tidemill: Tidemill) -> None:
    """A file is scored, and the champion is evaluated on it; the paths are the caller's."""
    rows = write_rows(stack.workspace / "unscored.csv", ROWS).name
    tidemill("score", rows, "scored.jsonl", "--task", TASK, "--log")
    lines = (stack.workspace / "scored.jsonl").read_text().splitlines()
    assert len(lines) == len(ROWS)
    first = json.loads(lines[0])
    assert tidemill("feedback", "submit", first["prediction_id"], "--correct")
    refused = tidemill("score", rows, "scored.jsonl", "--task", TASK, ends_with=1)
    assert "add --overwrite to replace it" in refused
    summary = tidemill("score", rows, "scored.jsonl", "--task", TASK, "--overwrite")
    assert re.search(rf"^rows +{len(ROWS)}$", summary, re.MULTILINE)
    assert "card_arrival" in summary
    found = as_json(tidemill, "evaluate", rows, "--task", TASK)
    assert found["accuracy"] > 0.9
    assert {each["label"] for each in found["classes"]} == {*WORDS}
    html = ("--html", "evaluation.html")
    assert tidemill("evaluate", "rows.csv", "--task", TASK, *html) == ""
    page = (stack.workspace / "evaluation.html").read_text()
    assert "confusion matrix" in page
    assert "reliability diagram" in page
    table = tidemill("evaluate", "rows.csv", "--task", TASK)
    assert re.search(r"^accuracy +[0-9.]+ % \(95 % interval", table, re.MULTILINE)
    assert "Classes" in tidemill("models", "show", TASK)
    assert {each["label"] for each in as_json(tidemill, "models", "show", TASK)["classes"]}
