"""One run of `check_drift`, measured: `python -m bench.monitoring.one_check FOLDER`.

It prints seconds, the peak of resident memory in bytes and the verdict, as JSON.
"""

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench import end_on_sigterm
from tests.plugins.job_runs import run_of
from tidemill_core.settings import FilesSource, Settings, TaskSettings
from tidemill_core.storage.storage import open_storage
from tidemill_core.triton.control import TritonControl
from tidemill_jobs.context import JobContext
from tidemill_jobs.monitoring.drift.check import run

TASK = "support"
NOW = datetime(2026, 3, 1, 2, tzinfo=UTC)


@contextmanager
def opened(folder: Path, now: datetime = NOW) -> Iterator[JobContext]:
    """Yield a run of a check in the workspace in a folder."""
    with chdir(folder):
        settings = Settings(
            tasks={TASK: TaskSettings(sources=[FilesSource(path=folder / "rows.csv")])},
            state_dir=folder / "var",
            model_repository=folder / "models",
        )
    storage = open_storage(settings.effective_database_url)
    with TritonControl(settings.triton_address, key="") as triton:
        yield run_of(settings, storage, triton, lambda: now)
    storage.database.close()


def main() -> None:
    """Check the workspace in FOLDER once."""
    with opened(Path(sys.argv[1])) as context:
        start = time.perf_counter()
        result = run(context)
        seconds = time.perf_counter() - start
    # Not ru_maxrss, which begins with the memory of the process that started this one.
    [peak] = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    figures = {"seconds": seconds, "peak_bytes": int(peak) * 1024, "verdict": result["verdict"]}
    figures |= {"measured": sum(each["p_value"] is not None for each in result["signals"])}
    print(json.dumps({**figures, "prediction_count": result["prediction_count"]}))


if __name__ == "__main__":
    end_on_sigterm()
    main()
