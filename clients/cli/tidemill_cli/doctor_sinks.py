"""The check of `tidemill doctor --alerts`: a process of the jobs sends a test alert."""

import json
import subprocess
import sys
from collections.abc import Iterator

from tidemill_cli.doctor_checks import Check
from tidemill_core.errors import TidemillError
from tidemill_core.settings import load_settings

_REMEDY = "check the section [alerts] of tidemill.toml, and that its receiver can be reached"


def try_sinks() -> Iterator[Check]:
    """Send a test alert to each sink, resolve it, and yield whether its receiver took both.

    Nothing is sent if the settings are wrong; their own check says so.
    """
    try:
        load_settings()
    except TidemillError:
        return
    command = [sys.executable, "-m", "tidemill_jobs.monitoring.alerts.proof"]
    # Its log goes to our stderr; its stdout has one JSON document per line.
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603 -- our own words
    for line in ended.stdout.splitlines():
        tried = json.loads(line)
        name = f"alerts: {tried['sink']}"
        if tried["error"]:
            yield Check(name, "fail", tried["error"], _REMEDY)
        else:
            yield Check(name, "ok", "took a test alert and its end")
    if ended.returncode:
        yield Check("alerts", "fail", "the process that tries the sinks failed", "see its error")
