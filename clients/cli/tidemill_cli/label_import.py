"""Judgements of a file of Label Studio's tasks."""

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
from tidemill_core.unknown_label import UnknownLabel

REFUSED = (InvalidRequest, NotFound, FailedPrecondition)
"""Errors of one judgement; any other error would fail the next ones too."""

Rejection = dict[str, Any]
_Unknown = tuple[int, SubmitLabelRequest, str]
"""The number of a task in the file, an annotation whose label is new, and the server's message."""


def read_tasks(file: Path) -> list[Any]:
    """Return the tasks of a file.

    Raises:
        WrongUsage: the file cannot be read, or is not a JSON list.
    """
    try:
        tasks = json.loads(file.read_bytes())
    except OSError as error:
        raise CannotRead(file, error) from error
    except (ValueError, RecursionError):  # ValueError: not JSON, or not UTF-8
        tasks = None
    if not isinstance(tasks, list):
        raise WrongUsage(f"{file} is not a list of tasks: export it from Label Studio as JSON")
    return tasks


class LabelImport:
    """An import of annotations, which sends those with new labels last, and only if accepted.

    Args:
        client: the client to send with.
        new_labels: labels that may be new.
        take: a function that returns whether to accept a new label, from the server's message and
            the number of annotations with it.
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
        """Send the annotations of all tasks. A refused one does not stop the others.

        A rejection has the number of the task in the file, from 1, and the annotator, who is empty
        if the whole task is left out.

        Raises:
            TidemillError: the server cannot be reached; sending the file again stores nothing
                twice.
        """
        for row, task in enumerate(tasks, start=1):
            try:
                judgements = judgements_of(task)
            except ValueError as error:  # also a lone surrogate
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
        """The new labels that were not accepted."""
        return list(dict.fromkeys(label for _, label in self._unknown))

    def _submit(self, row: int, judgement: SubmitLabelRequest) -> None:
        try:
            with translated_errors():
                self._client.labeling.SubmitLabel(judgement, timeout=CALL_SECONDS)
            self._accepted += 1
        except REFUSED as error:
            if error.reason == UnknownLabel.reason:
                named = (judgement.task, judgement.label)
                self._unknown.setdefault(named, []).append((row, judgement, error.message))
                return
            rejection = _rejection(row, judgement.annotator, error.reason, error.message)
            self._rejections.append(rejection)

    def _ask(self) -> None:
        """Send the annotations with new labels that are accepted; reject the others."""
        for named, found in list(self._unknown.items()):
            if self._take(found[0][2], len(found)):
                del self._unknown[named]
                for row, judgement, _ in found:
                    judgement.known_only = False
                    self._submit(row, judgement)
            else:
                self._rejections += [
                    _rejection(row, judgement.annotator, UnknownLabel.reason, message)
                    for row, judgement, message in found
                ]


def _rejection(row: int, annotator: str, reason: str, message: str) -> Rejection:
    return {"row": row, "annotator": annotator, "reason": reason, "message": message}
