"""Commands that end something, where nothing is left to end."""

import re

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
    """`alerts unsilence` says whether the silence had ended before."""
    at, why = ["--address", front.address], ["--reason", "a test"]
    assert run(["alerts", "silence", "--for", "2h", *why, *at]) == 0
    found = re.search(r"silence id +(\w+)", capsys.readouterr().out)
    assert found
    for had_ended in (False, True):
        assert run(["alerts", "unsilence", found[1], *at]) == 0
        said = capsys.readouterr()
        assert re.search(r"^ended +\d", said.out, re.MULTILINE)
        assert ("it had ended before: nothing changed" in said.err + said.out) is had_ended


def test_a_run_that_has_ended_cannot_be_canceled(
    front: Front, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """`jobs cancel` says so, and shows how the run ended; of a running one, how to see its end."""
    jobs = workspace.storage.jobs
    jobs.enqueue(RunRequest("check_drift", "support", Trigger.RPC), NOW)
    claimed = jobs.claim(NOW)
    assert claimed
    jobs.succeed(claimed.run_id, {}, NOW)
    assert run(["jobs", "cancel", claimed.run_id, "--address", front.address]) == 0
    said = capsys.readouterr()
    assert "SUCCEEDED" in said.out
    assert "it had ended before: nothing changed" in said.err + said.out
    waiting = jobs.enqueue(RunRequest("check_drift", "support", Trigger.RPC), NOW)
    assert run(["jobs", "cancel", waiting.run_id, "--address", front.address]) == 0
    assert "nothing changed" not in "".join(capsys.readouterr())
    jobs.enqueue(RunRequest("check_drift", "support", Trigger.RPC), NOW)
    running = jobs.claim(NOW)
    assert running
    assert run(["jobs", "cancel", running.run_id, "--address", front.address]) == 0
    told = " ".join("".join(capsys.readouterr()).split())
    assert f"to see its end: tidemill jobs watch {running.run_id}" in told
