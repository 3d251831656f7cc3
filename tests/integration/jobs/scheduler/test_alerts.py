"""Alerts that the process of the jobs sends."""

from tests.integration.jobs.scheduler.conftest import TASK, Workspace
from tests.plugins.receivers import http_receiver
from tests.plugins.waiting import wait_until


def test_a_failed_retraining_reaches_slack(workspace: Workspace) -> None:
    """The process notices that the last retraining failed, and sends the alert by itself."""
    with http_receiver() as receiver:
        run = workspace.queue("retrain", TASK)
        (workspace.folder / "rows.csv").write_text("text,label\n")
        workspace.env = {**workspace.env, "TIDEMILL_ALERTS__SLACK__WEBHOOK_URL": receiver.url}
        workspace.start()
        wait_until(lambda: receiver.requests, "the receiver has the alert", 120)
    assert workspace.get(run).state.ended
    assert run.run_id in receiver.requests[0].body.decode()
