"""From the spool to the database."""

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
    """Bring every file that no process is writing or replaying into the database, oldest first.

    Lines that cannot be read or stored are set aside and hold up none of the others.

    Args:
        folder: the spool.
        add: writes predictions, each once; raises InvalidArgument for what it never can.
        count: told, after each file, how many it held.
        is_enough: asked before each file; true leaves the others for the next time.

    Raises:
        Exception: what `add` raised; the files that are left stay for the next time.
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
    """The content of a file, locked until the block ends; None where it is another's, or gone."""
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
    """Add a file's predictions, and set the rest aside; returns how many could be read."""
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
        aside = path.with_suffix(".damaged")
        # On the disk before their file is removed: a power cut must not take both.
        write_durably(aside, b"".join(damaged))
        sync(aside.parent)
        log.error("spool_lines_set_aside", path=str(aside), count=len(damaged))
    return len(predictions)


def _add(batch: Sequence[Prediction], add: Add) -> list[Prediction]:
    """Add predictions; returns those that the database refuses by themselves."""
    try:
        add(batch)
    except InvalidArgument:
        if len(batch) == 1:
            return list(batch)
        middle = len(batch) // 2
        return _add(batch[:middle], add) + _add(batch[middle:], add)
    return []
