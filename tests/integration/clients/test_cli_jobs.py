"""`tidemill jobs` against the real front."""

import json

import pytest

from tests.integration.server.front import NOW, Front, Workspace
from tidemill_cli.main import run
from tidemill_core.storage.jobs import RunRequest

ERROR = "SOURCE_UNREADABLE: the file is gone"


def test_a_failed_run_says_once_why(
    front: Front, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """`watch` fails with the error; `show`, which does not fail, prints it."""
    jobs = workspace.storage.jobs
    jobs.enqueue(RunRequest("build_dataset", "support", "rpc"), NOW)
    claimed = jobs.claim(NOW)
    assert claimed is not None
    jobs.fail(claimed.run_id, ERROR, NOW)
    watch = ["jobs", "watch", claimed.run_id, "--address", front.address]
    assert run(watch) == 1
    printed = capsys.readouterr()
    assert "FAILED" in printed.out
    assert ERROR not in printed.out
    assert printed.err.count(ERROR) == 1
    assert run(["jobs", "show", *watch[2:]]) == 0
    assert capsys.readouterr().out.count(ERROR) == 1
    assert run([*watch, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"] == ERROR
