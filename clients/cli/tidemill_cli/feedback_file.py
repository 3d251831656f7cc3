"""Verdicts of a JSON Lines file, sent as one stream."""

import json
import os
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from google.protobuf import json_format

from tidemill.v1.feedback_service_pb2 import StreamFeedbackRequest
from tidemill_cli.failure import CannotRead
from tidemill_cli.messages import error_to_json
from tidemill_cli.progress import ShowProgress, progress_view
from tidemill_cli.rejections import FileOutcome
from tidemill_client import TidemillClient, TidemillError
from tidemill_core.counted import counted

_FIELDS = tuple(field.name for field in StreamFeedbackRequest.DESCRIPTOR.fields)
_PROGRESS_EVERY_LINES = 200


RejectedLine = dict[str, Any]
"""The number of a line, from 1, and the code, reason and message of its error."""


class FeedbackLines:
    """The requests of a file, and the line of each.

    Attributes:
        sent_lines: the line number of each request, in the order of the stream.
        unreadable: the errors of lines that are not a request.
    """

    def __init__(self, file: BinaryIO, show_progress: ShowProgress) -> None:
        self._file = file
        self._size = max(os.fstat(file.fileno()).st_size, 1)
        self._show_progress = show_progress
        self.sent_lines = array("Q")
        self.unreadable: list[RejectedLine] = []

    def requests(self) -> Iterator[StreamFeedbackRequest]:
        """Yield the request of each readable line that is not blank."""
        read = 0
        for number, line in enumerate(self._file, start=1):
            read += len(line)
            if number % _PROGRESS_EVERY_LINES == 0 or read == self._size:
                self._show_progress("feedback", read / self._size, counted(number, "line"))
            if not line.strip():
                continue
            try:
                request = _request(line)
            except (ValueError, json_format.ParseError) as error:
                self.unreadable.append({"line": number, **_unreadable(error)})
                continue
            self.sent_lines.append(number)
            yield request


def send_file(client: TidemillClient, path: Path) -> FileOutcome:
    """Send the verdict of each line. A line that cannot be read or stored does not stop the others.

    Raises:
        CannotRead: the file cannot be opened.
        TidemillError: the stream broke; sending the file again stores nothing twice.
    """
    try:
        opened = path.open("rb")
    except OSError as error:
        raise CannotRead(path, error) from error
    with opened as file, progress_view() as show_progress:
        lines = FeedbackLines(file, show_progress)
        # No timeout: a file may take any time.
        response = client.feedback.StreamFeedback(lines.requests())
    refused: list[RejectedLine] = [
        {
            "line": lines.sent_lines[rejection.index],
            **error_to_json(TidemillError.from_status(rejection.error)),
        }
        for rejection in response.rejections
    ]
    rejections = sorted([*lines.unreadable, *refused], key=lambda rejection: rejection["line"])
    rejected = response.rejected_count + len(lines.unreadable)
    return FileOutcome(response.accepted_count, rejected, rejections)


def _request(line: bytes) -> StreamFeedbackRequest:
    """Return the request of a line.

    Raises:
        ValueError: it is not UTF-8, not JSON or not an object, or has an unknown field.
        ParseError: a value has the wrong type.
    """
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ValueError("the line is not a JSON object in UTF-8")
    if unknown := sorted(set(document) - set(_FIELDS)):
        fields = ", ".join(_FIELDS)
        raise ValueError(f"unknown field {', '.join(unknown)}; the fields are {fields}")
    return json_format.ParseDict(document, StreamFeedbackRequest())


def _unreadable(error: Exception) -> dict[str, str]:
    return {
        "code": "INVALID_ARGUMENT",
        "reason": "UNREADABLE_LINE",
        "message": f"not a verdict: {error}",
    }
