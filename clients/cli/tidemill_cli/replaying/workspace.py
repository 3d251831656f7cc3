"""The temporary workspace of a replay: its examples and its settings."""

import csv
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tidemill_cli.replaying.dated_rows import DatedRow
from tidemill_core.settings import Settings

_PORTS = (
    "grpc_port",
    "http_port",
    "metrics_port",
    "triton_grpc_port",
    "triton_http_port",
    "triton_metrics_port",
)
_SECTIONS = {"feedback", "labeling", "gate", "monitoring", "schedule"}
"""The sections that a replay takes from the workspace. The others are about places: nothing of a
replay may reach the people, the stores and the services of the workspace."""
_EXAMPLES = "examples.csv"
_LONGEST_DELAY_MS = 60_000.0


def write_examples(folder: Path, rows: Sequence[DatedRow]) -> None:
    """Write the file that the first model learns from."""
    with (folder / _EXAMPLES).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "time"])
        writer.writerows((row.text, row.label, row.time.isoformat()) for row in rows)


def replay_settings(settings: Settings, task: str, seed: int, folder: Path) -> dict[str, Any]:
    """Return the settings of a replay, by name.

    Args:
        settings: those of the workspace.
        task: the task; it has its defaults if the workspace has no tasks.
        seed: the seed of the trainings.
        folder: the temporary workspace.
    """
    named = settings.tasks.get(task)
    fields = {} if named is None else named.model_dump(mode="json", exclude_unset=True)
    source = {"path": str(folder / _EXAMPLES), "time_column": "time"}
    known = settings.model_dump(mode="json", exclude_unset=True, include=_SECTIONS)
    sends = {name: "" for name in type(settings.schedule).model_fields if name.startswith("send_")}
    training = {**fields.get("training", {}), "seed": seed}
    fields |= {"sources": [source], "training": training, "approval": False}
    return {
        **known,
        "schedule": {**known.get("schedule", {}), **sends},
        **dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True)),
        "tasks": {task: fields},
        "state_dir": str(folder / "var"),
        "model_repository": str(folder / "model_repository"),
        "tracking": {"trackers": []},
        # A machine that also trains is slow to answer, and a replay waits for every answer.
        "server": {"max_queue_delay_ms": _LONGEST_DELAY_MS},
    }


def _free_ports(count: int) -> list[int]:
    """Return ports of this machine that nothing listens on."""
    with ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
