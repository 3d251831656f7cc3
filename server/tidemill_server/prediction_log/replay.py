"""Replay of the spool into the database."""

import contextlib
import fcntl
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import structlog

from tidemill_core.domain.prediction import Prediction
from tidemill_core.durable import sync, write_durably
from tidemill_core.errors import InvalidArgument
from tidemill_server.prediction_log.held import BATCH_ROWS
from tidemill_server.prediction_log.spool import SUFFIX, line_of, parse_line

Add = Callable[[Sequence[Prediction]], None]

log = structlog.get_logger()


def replay(
    folder: Path, add: Add, count: Callable[[int], None], is_enough: Callable[[], bool]
) -> None:
    """Add every file that no process is writing or replaying to the database, oldest first.

    Lines that cannot be read or stored are quarantined, and do not block the others.

    Args:
        folder: the spool.
        add: stores predictions, each once; raises InvalidArgument for those it can never store.
        count: called after each file with the number of its predictions.
        is_enough: called before each file; true leaves the remaining files for the next time.

    Raises:
        Exception: `add` raised it; the remaining files stay for the next time.
    """
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if is_enough():
            return
        with _claimed(path) as content:
            if content is not None:
                count(_replay_file(path, content, add))
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[bytes | None]:
    """Yield the content of a file, locked until the block ends; None if it is locked or gone."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file.read()


def _replay_file(path: Path, content: bytes, add: Add) -> int:
    """Add a file's predictions, quarantine other lines, and return how many could be read."""
    predictions: list[Prediction] = []
    damaged: list[bytes] = []
    for line in content.splitlines(keepends=True):
        try:
            predictions.append(parse_line(line))
        except ValueError:
            damaged.append(line)
    for start in range(0, len(predictions), BATCH_ROWS):
        refused = _add(predictions[start : start + BATCH_ROWS], add)
        damaged += map(line_of, refused)
    if damaged:
        quarantine = path.with_suffix(".damaged")
        # Durable before their file is removed, so that a power cut cannot lose them.
        write_durably(quarantine, b"".join(damaged))
        sync(quarantine.parent)
        log.error("spool_lines_quarantined", path=str(quarantine), count=len(damaged))
    return len(predictions)


def _add(batch: Sequence[Prediction], add: Add) -> list[Prediction]:
    """Add predictions, and return those that the database refuses."""
    try:
        add(batch)
    except InvalidArgument:
        if len(batch) == 1:
            return list(batch)
        middle = len(batch) // 2
        return _add(batch[:middle], add) + _add(batch[middle:], add)
    return []
