"""Commands that end something, where nothing is left to end."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.integration.server.front import NOW, Front, Workspace
from tidemill_cli.main import run
from tidemill_core.domain.job import Trigger
from tidemill_core.storage.jobs import RunRequest


def test_a_task_that_is_not_paused_cannot_be_resumed(
    front: Front, capsys: pytest.CaptureFixture[str]
) -> None:
    """`models resume` says whether it changed anything."""
    here = ["support", "--address", front.address]
    assert run(["models", "pause", *here]) == 0
    capsys.readouterr()
    for said in ("support is retrained again", "support was not paused: nothing changed"):
        assert run(["models", "resume", *here]) == 0
        assert said in "".join(capsys.readouterr())


def test_a_silence_ends_once(front: Front, capsys: pytest.CaptureFixture[str]) -> None:
    """`alerts unsilence` says whether the silence had ended before, to programs too."""
    at, why = ["--address", front.address], ["--reason", "a test"]
    for as_json in ([], ["--json"]):
        assert run(["alerts", "silence", "--for", "2h", *why, *at, "--json"]) == 0
        silence = json.loads(capsys.readouterr().out)
        for was_active in (True, False):
            assert run(["alerts", "unsilence", silence["silence_id"], *at, *as_json]) == 0
            said = capsys.readouterr()
            if as_json:
                assert json.loads(said.out).items() > {"was_active": was_active}.items()
                assert json.loads(said.out)["silence_id"] == silence["silence_id"]
            else:
                assert re.search(r"^ended +\d", said.out, re.MULTILINE)
                assert ("had ended before: nothing changed" in said.err) is not was_active


@pytest.fixture
def runs(workspace: Workspace) -> Iterator[tuple[str, str, str]]:
    """Yield the ids of a run that was canceled while it waited, one that runs, and one that ended.

    The workspace is the session's, so no run of it is left running.
    """
    jobs = workspace.storage.jobs
    waiting, running, ended = (
        jobs.enqueue(RunRequest("check_drift", task, Trigger.RPC), NOW).run_id
        for task in ("support", "mixed", "swapped")
    )
    jobs.cancel(waiting, NOW)
    while (claimed := jobs.claim(NOW)) is not None and claimed.run_id != ended:
        if claimed.run_id != running:  # another test's
            jobs.mark_canceled(claimed.run_id, NOW)
    jobs.succeed(ended, {}, NOW)
    yield waiting, running, ended
    jobs.mark_canceled(running, NOW)


def test_a_listed_result_has_only_its_own_fields(
    front: Front, runs: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """`jobs runs --json` adds no `decision` to the result of a run that has none."""
    *_, ended = runs
    assert run(["jobs", "runs", "--task", "swapped", "--json", "--address", front.address]) == 0
    listed = {each["run_id"]: each["result"] for each in json.loads(capsys.readouterr().out)}
    assert listed[ended] == {}


def test_a_run_is_canceled_once(
    front: Front,
    workspace: Workspace,
    runs: tuple[str, str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`jobs cancel` says if a run had ended, was canceled or was asked to stop before."""
    waiting, running, ended = runs
    watch = f"tidemill jobs watch {running}"
    for run_id, state, had in (
        (waiting, "CANCELLED", "it had ended before: nothing changed"),
        (ended, "SUCCEEDED", "it had ended before: nothing changed"),
        (running, "RUNNING", f"it stops at its next step; to see its end: {watch}"),
        (running, "RUNNING", "it was asked to stop before: nothing changed"),
    ):
        assert run(["jobs", "cancel", run_id, "--address", front.address]) == 0
        said = capsys.readouterr()
        assert state in said.out
        assert said.err.startswith(had)
        assert (f"to see its end: {watch}" in said.err) is (run_id == running)
    jobs = workspace.storage.jobs
    again = jobs.enqueue(RunRequest("check_drift", "support", Trigger.RPC), NOW).run_id
    for was_active in (True, False):
        assert run(["jobs", "cancel", again, "--address", front.address, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["run_id"], found["was_active"]) == (again, was_active)
