"""Judgements from a file of Label Studio's tasks."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tidemill_cli.failure import CannotRead, WrongUsage
from tidemill_cli.label_studio import judgements_of
from tidemill_cli.listing import CALL_SECONDS
from tidemill_cli.rejections import FileOutcome
from tidemill_client import (
    FailedPrecondition,
    InvalidRequest,
    NotFound,
    TidemillClient,
    translated_errors,
)

REFUSED = (InvalidRequest, NotFound, FailedPrecondition)
"""What concerns one judgement only; anything else concerns those that follow too."""


def read_tasks(file: Path) -> list[Any]:
    """The tasks of a file.

    Raises:
        WrongUsage: it cannot be read, or is not a JSON list.
    """
    try:
        tasks = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no JSON, or no UTF-8
        raise CannotRead(file, error) from error
    if not isinstance(tasks, list):
        raise WrongUsage(f"{file} is not a list of tasks: export it from Label Studio as JSON")
    return tasks


def submit_all(client: TidemillClient, tasks: Sequence[Any]) -> FileOutcome:
    """Send the annotations of all tasks; what is refused does not stop the others.

    A rejection has the task's place in the file, from 1, and the annotator; none where the whole
    task is left out.

    Raises:
        TidemillError: the server is away; sending the file again repeats nothing.
    """
    accepted, rejections = 0, list[dict[str, Any]]()
    for row, task in enumerate(tasks, start=1):
        try:
            judgements = judgements_of(task)
        except ValueError as error:  # half of a surrogate pair too
            rejections.append(_rejection(row, "", "UNREADABLE_TASK", str(error)))
            continue
        for judgement in judgements:
            try:
                with translated_errors():
                    client.labeling.SubmitLabel(judgement, timeout=CALL_SECONDS)
                accepted += 1
            except REFUSED as error:
                told = _rejection(row, judgement.annotator, error.reason, error.message)
                rejections.append(told)
    return FileOutcome(accepted, len(rejections), rejections)


def _rejection(row: int, annotator: str, reason: str, message: str) -> dict[str, Any]:
    return {"row": row, "annotator": annotator, "reason": reason, "message": message}
