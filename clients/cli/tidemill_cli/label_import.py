"""Judgements from a file of Label Studio's tasks."""

import json
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from tidemill.v1.labeling_service_pb2 import SubmitLabelRequest
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

Rejection = dict[str, Any]
_Unknown = tuple[int, SubmitLabelRequest, str]
"""A task's place in the file, an annotation whose label is new, and what the server says of it."""


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


class LabelImport:
    """Sends annotations, those with a label that is new to their task last, if at all.

    Args:
        client: the server.
        new_labels: labels that may be new.
        take: asks whether a label is new, and no typo: takes what the server says of it, and how
            many annotations have it.
    """

    def __init__(
        self, client: TidemillClient, new_labels: Collection[str], take: Callable[[str, int], bool]
    ) -> None:
        self._client = client
        self._new_labels = new_labels
        self._take = take
        self._accepted = 0
        self._rejections: list[Rejection] = []
        self._unknown: dict[tuple[str, str], list[_Unknown]] = {}

    def submit_all(self, tasks: Sequence[Any]) -> FileOutcome:
        """Send the annotations of all tasks; what is refused does not stop the others.

        A rejection has the task's place in the file, from 1, and the annotator; none where the
        whole task is left out.

        Raises:
            TidemillError: the server is away; sending the file again repeats nothing.
        """
        for row, task in enumerate(tasks, start=1):
            try:
                judgements = judgements_of(task)
            except ValueError as error:  # half of a surrogate pair too
                self._rejections.append(_rejection(row, "", "UNREADABLE_TASK", str(error)))
                continue
            for judgement in judgements:
                judgement.known_only = judgement.label not in self._new_labels
                self._submit(row, judgement)
        self._ask()
        rejections = sorted(self._rejections, key=lambda rejection: int(rejection["row"]))
        return FileOutcome(self._accepted, len(rejections), rejections)

    @property
    def left_out(self) -> list[str]:
        """The labels that are new to their task and were not taken."""
        return list(dict.fromkeys(label for _, label in self._unknown))

    def _submit(self, row: int, judgement: SubmitLabelRequest) -> None:
        try:
            with translated_errors():
                self._client.labeling.SubmitLabel(judgement, timeout=CALL_SECONDS)
            self._accepted += 1
        except REFUSED as error:
            if error.reason == "UNKNOWN_LABEL":
                named = (judgement.task, judgement.label)
                self._unknown.setdefault(named, []).append((row, judgement, error.message))
                return
            told = _rejection(row, judgement.annotator, error.reason, error.message)
            self._rejections.append(told)

    def _ask(self) -> None:
        """Send what has a new label that is taken; reject the rest."""
        for named, found in list(self._unknown.items()):
            if self._take(found[0][2], len(found)):
                del self._unknown[named]
                for row, judgement, _ in found:
                    judgement.known_only = False
                    self._submit(row, judgement)
            else:
                self._rejections += [
                    _rejection(row, judgement.annotator, "UNKNOWN_LABEL", message)
                    for row, judgement, message in found
                ]


def _rejection(row: int, annotator: str, reason: str, message: str) -> Rejection:
    return {"row": row, "annotator": annotator, "reason": reason, "message": message}
