"""The process that sends a task's recorded runs to one tracker.

It reads a `SendOrder` as JSON from standard input. A run that was sent is replaced by a file with
its link, and a run that could not be sent stays. If something failed, it ends with 1 and says why
in one line.
"""

import json
import sys
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


def main() -> None:
    """Send the runs, newest first, and show the champion.

    Raises:
        Exception: the last error of the tracker; the other runs were sent nevertheless.
    """
    order = SendOrder(**json.load(sys.stdin))
    failure: Exception | None = None
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
            except Exception as error:
                failure = error
        if failure:
            raise failure
        if order.champion:
            service.set_champion(order.task, order.champion)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        # Which of a database's lines says it differs: all of them become one.
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}"[:500])
