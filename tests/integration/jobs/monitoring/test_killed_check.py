"""A check that gets kill -9."""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from tidemill_core.domain.labeling import Judgement, LabelReason, LabelRequest
from tidemill_core.domain.report import ReportVerdict
from tidemill_core.storage.database import Page
from tidemill_jobs.context import JobContext
from tidemill_jobs.monitoring.accuracy.check import run

CHECK = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from sqlalchemy import event
from tidemill_core.model_repository import ModelRepository
from tidemill_core.settings import Settings
from tidemill_core.storage.storage import open_storage
from tidemill_core.triton.control import TritonControl
from tidemill_jobs.context import JobContext
from tidemill_jobs.monitoring.accuracy.check import run
now, models = sys.argv[1:]
settings = Settings(tasks={"support": {"sources": [{"path": "train.csv"}]}}, state_dir="var")
storage = open_storage(settings.effective_database_url)

@event.listens_for(storage.database.engine, "commit")
def die(connection):
    if connection.get_execution_options().get("tidemill_writes"):
        os.kill(os.getpid(), signal.SIGKILL)

with TritonControl(settings.triton_address, key="") as triton:
    run(
        JobContext(
            task="support",
            run_id="run",
            settings=settings,
            storage=storage,
            repository=ModelRepository(Path(models)),
            triton=triton,
            clock=lambda: datetime.fromisoformat(now),
            progress=lambda done, doing: None,
        )
    )
"""


def _found(context: JobContext) -> tuple[int, int, int]:
    """Return how many reports, alerts and deliveries there are."""
    storage = context.storage
    reports, _ = storage.reports.page("support", "accuracy", Page())
    alerts, _ = storage.alerts.page("support", False, True, Page())
    due = storage.alert_outbox.due(["log"], context.clock() + timedelta(hours=1))
    return len(reports), len(alerts), len(due)


def test_a_killed_check_leaves_nothing_half_done(
    context: JobContext, answer: Callable[..., list[str]]
) -> None:
    """Killed before it commits, it leaves no report and no alert; the next one writes both once."""
    now, items = context.clock(), context.storage.label_items
    for prediction_id in answer("a" * 60):
        asked = LabelRequest("support", prediction_id, LabelReason.AUDIT, now, (), 0.1)
        items.add([replace(asked, origin=prediction_id)], 1, now)
    waiting, _ = items.page("support", [], None, Page(100), now)
    for item in waiting:
        items.submit("support", Judgement(item.label_item_id, "ana", "b", "", now), {})
    command = [sys.executable, "-c", CHECK, now.isoformat(), str(context.settings.model_repository)]
    folder = context.settings.state_dir.parent
    killed = subprocess.run(command, cwd=folder, timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert _found(context) == (0, 0, 0)
    assert run(context)["verdict"] == ReportVerdict.ALERT
    assert _found(context) == (1, 1, 1)
    run(context)
    assert _found(context) == (2, 1, 1)
