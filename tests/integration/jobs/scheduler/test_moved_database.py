"""Processes of a running stack whose SQLite file was moved away."""

from tests.integration.jobs.scheduler.conftest import TASK, Workspace, now
from tests.plugins.waiting import wait_until
from tidemill_core.supervisor import StateDirectoryLock


def test_a_process_that_starts_waits_until_the_file_is_back(workspace: Workspace) -> None:
    """In a running stack, a process that is restarted creates no empty database."""
    workspace.champion(TASK, "held")
    workspace.storage.database.close()
    stack = StateDirectoryLock(workspace.folder / "var")
    stack.acquire()
    file = workspace.folder / "tidemill.db"
    away = file.rename(workspace.folder / "away.db")
    workspace.start()
    wait_until(lambda: "waiting_for_database" in workspace.said(), "it waits")
    assert f"{file} is missing: move it back" in workspace.said()
    assert not file.exists()
    away.rename(file)
    wait_until(workspace.leader, "it leads", 90)
    stack.release()


def test_a_run_that_was_closed_meanwhile_does_nothing(workspace: Workspace) -> None:
    """Its process may have waited for the database while a new leader took it for lost."""
    jobs = workspace.storage.jobs
    run = workspace.queue()
    assert jobs.claim(now()) is not None
    jobs.fail(run.run_id, "ORPHANED: lost", now())
    assert workspace.start_run(run.run_id).wait(60) == 1
    assert "run_was_closed" in workspace.said()
    assert workspace.get(run).error == "ORPHANED: lost"
    assert not (workspace.folder / "var" / "intake").exists()
