"""One build of a dataset version, measured: `python -m bench.data.build FOLDER`.

It prints seconds, the peak of resident memory in bytes and the job's result, as JSON.
"""

import json
import resource
import sys
import time
from contextlib import chdir
from pathlib import Path

from bench import end_on_sigterm
from tests.plugins.job_runs import run_of
from tidemill_core.settings import FilesSource, Settings, TaskSettings
from tidemill_core.storage.storage import open_storage
from tidemill_core.triton.control import TritonControl
from tidemill_jobs.data.build import run

TASK = "titles"


def main() -> None:
    """Build from the Parquet files in FOLDER/rows, with the state in FOLDER/var."""
    folder = Path(sys.argv[1])
    with chdir(folder):
        source = FilesSource(path=folder / "rows" / "*.parquet")
        settings = Settings(
            tasks={TASK: TaskSettings(sources=[source])},
            state_dir=folder / "var",
            model_repository=folder / "models",
        )
    with TritonControl(settings.triton_address, key="") as triton:
        context = run_of(settings, open_storage(settings.effective_database_url), triton, task=TASK)
        start = time.perf_counter()
        result = run(context)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak_bytes": peak, "result": dict(result)}))


if __name__ == "__main__":
    end_on_sigterm()
    main()
