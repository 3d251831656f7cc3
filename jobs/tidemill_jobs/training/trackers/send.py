"""The process that sends a task's recorded runs to one tracker.

It reads a `SendOrder` as JSON from standard input. A run that was sent is replaced by a file with
its link, and a run that could not be sent stays. It ends with 1 if some stay.
"""

import json
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tidemill_jobs.training.tracking import read_run, waiting
from tidemill_jobs.training.tracking_service import ServiceConfig, load_service


@dataclass(frozen=True)
class SendOrder:
    """What to send, and where.

    Attributes:
        tracker: the name of the tracker.
        location: as in `ServiceConfig`.
        folder: as in `ServiceConfig`.
        outbox: the folder of the task's recorded runs.
        task: the task.
        champion: its champion; 0 if there is none.
    """

    tracker: str
    location: str
    folder: str
    outbox: str
    task: str
    champion: int


def main() -> int:
    """Send the runs, newest first, and return the exit code."""
    order, failed = SendOrder(**json.load(sys.stdin)), 0
    folder = Path(order.folder)
    folder.mkdir(parents=True, exist_ok=True)
    # MLflow's migrations of a new store must not run twice at once.
    with FileLock(folder / ".lock"):
        service = load_service(order.tracker, ServiceConfig(order.location, folder))
        for path in waiting(Path(order.outbox)):
            try:
                run = read_run(path)
                link = {"model_version": run.model_version, "link": service.send(run)}
                path.with_suffix(".sent").write_text(json.dumps(link))
                path.unlink()
            except Exception:
                failed += 1
                traceback.print_exc()
        if order.champion and not failed:
            service.set_champion(order.task, order.champion)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
