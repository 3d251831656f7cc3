"""The rebuild of a dataset version's rows by a process of the jobs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tidemill_cli.failure import CommandFailed, WrongUsage
from tidemill_cli.progress import progress_view


def rebuilt(folder: Path) -> int:
    """Build the rows of the version in a folder again, and show the progress.

    Returns:
        The number of rows.

    Raises:
        WrongUsage: the settings, the sources or the version's folder do not allow it.
        CommandFailed: the rows cannot be built for another reason, which the message has.
    """
    report: dict[str, Any] = {}
    command = [sys.executable, "-m", "tidemill_jobs.main", "--rebuild", str(folder)]
    with (
        progress_view() as show_progress,
        # Its log goes to our stderr; its stdout has one JSON document per line.
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,  # noqa: S603 -- our own words
    ):
        for line in process.stdout or ():
            report = json.loads(line)
            if "progress" in report:
                show_progress(folder.name[:12], report["progress"], report["message"])
    if "rows" in report:
        return int(report["rows"])
    if "error" in report:
        failure = WrongUsage if report["is_wrong"] else CommandFailed
        raise failure(f"{report['error']} ({report['reason']})")
    raise CommandFailed(f"the rebuilding process ended with code {process.returncode}")
