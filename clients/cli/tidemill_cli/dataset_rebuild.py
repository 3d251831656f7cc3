"""Has the jobs' code make a dataset version's rows again, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tidemill_cli.failure import CommandFailed
from tidemill_cli.progress import progress_view


def rebuilt(folder: Path) -> int:
    """Make the rows of the version in a folder again, showing how far it is.

    Returns:
        How many rows it has.

    Raises:
        CommandFailed: it cannot be made again; says why.
    """
    told: dict[str, Any] = {}
    command = [sys.executable, "-m", "tidemill_jobs.main", "--rebuild", str(folder)]
    with (
        progress_view() as show_progress,
        # What it logs goes to our stderr; what it tells us comes as JSON, a line each.
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,  # noqa: S603
    ):
        for line in process.stdout or ():
            told = json.loads(line)
            if "progress" in told:
                show_progress(folder.name[:12], told["progress"], told["message"])
    if "rows" in told:
        return int(told["rows"])
    if "error" in told:
        raise CommandFailed(f"{told['error']} ({told['reason']})")
    raise CommandFailed(f"the process that rebuilds ended with code {process.returncode}")
