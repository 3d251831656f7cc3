"""Judgements from a file of Label Studio's tasks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill_cli.failure import CannotRead, WrongUsage
from tidemill_cli.label_studio import judgements_of
from tidemill_cli.listing import CALL_SECONDS
from tidemill_client import (
    FailedPrecondition,
    InvalidRequest,
    NotFound,
    TidemillClient,
    translated_errors,
)

REFUSED = (InvalidRequest, NotFound, FailedPrecondition)
"""What concerns one judgement only; anything else concerns those that follow too."""


@dataclass(frozen=True)
class RejectedJudgement:
    """What was not stored.

    Attributes:
        row: the task's place in the file, from 1.
        annotator: whose judgement it is; empty where the whole task is left out.
        reason: why, for programs.
        message: why, for people.
    """

    row: int
    annotator: str
    reason: str
    message: str


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


def submit_all(client: TidemillClient, tasks: Sequence[Any]) -> tuple[int, list[RejectedJudgement]]:
    """Send the annotations of all tasks; what is refused does not stop the others.

    Returns:
        How many are durable now, repeated ones included, and the others.

    Raises:
        TidemillError: the server is away; sending the file again repeats nothing.
    """
    accepted, rejections = 0, list[RejectedJudgement]()
    for row, task in enumerate(tasks, start=1):
        try:
            judgements = judgements_of(task)
        except ValueError as error:  # half of a surrogate pair too
            rejections.append(RejectedJudgement(row, "", "UNREADABLE_TASK", str(error)))
            continue
        for judgement in judgements:
            try:
                with translated_errors():
                    client.labeling.SubmitLabel(judgement, timeout=CALL_SECONDS)
                accepted += 1
            except REFUSED as error:
                told = RejectedJudgement(row, judgement.annotator, error.reason, error.message)
                rejections.append(told)
    return accepted, rejections
