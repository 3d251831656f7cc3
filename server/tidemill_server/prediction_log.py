"""Writes every prediction down without holding a request up.

Predictions gather in memory and are written in batches. While the database is away or slow
they go to files in the spool folder, and from there to the database once it is back. Where neither
can be written they stay in memory, up to a bound. Rows are idempotent by prediction_id, so
what was written twice counts once.
"""

import asyncio
import contextlib
import json
import os
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.errors import InvalidArgument, StorageUnavailable, TidemillError
from tidemill_core.storage.predictions import PredictionStore

FLUSH_SECONDS = 0.05
MAX_BATCH_ROWS = 2000
MAX_HELD_ROWS = 100_000
"""Predictions kept in memory while they can be written nowhere; then the oldest are lost."""
# A database that takes longer than this for one batch counts as away.
_SLOW_SECONDS = 1.0
_REPLAY_SECONDS = 1.0

log = structlog.get_logger()


class PredictionLog:
    """The batching writer, on one event loop.

    Args:
        store: where predictions belong.
        spool: folder for what could not be written yet.
    """

    def __init__(self, store: PredictionStore, spool: Path) -> None:
        self._store = store
        self._spool = spool
        spool.mkdir(parents=True, exist_ok=True)
        self._buffer: list[Prediction] = []
        self._away = False
        self._spooled = True  # perhaps, by the process before this one
        self._replay_at = 0.0
        self._writing: asyncio.Future[None] | None = None
        self._closing = asyncio.Event()
        # A write may hang on a locked database: spooling has a thread of its own.
        self._database_thread = ThreadPoolExecutor(1, "prediction-log")
        self._spool_thread = ThreadPoolExecutor(1, "prediction-spool")

    def append(self, prediction: Prediction) -> None:
        """Take a prediction; returns at once."""
        self._buffer.append(prediction)

    async def run(self) -> None:
        """Write until `close`; then write what is left, to the database or else to the spool."""
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), FLUSH_SECONDS)
            await self._flush()
            self._replay()
        self._lose(len(self._buffer))
        self._database_thread.shutdown(wait=False, cancel_futures=True)
        self._spool_thread.shutdown()

    def close(self) -> None:
        """End `run`."""
        self._closing.set()

    async def _flush(self) -> None:
        while self._buffer:
            batch = self._buffer[:MAX_BATCH_ROWS]
            if not await self._write(batch) and not await self._write_to_spool(batch):
                self._lose(len(self._buffer) - MAX_HELD_ROWS)
                return
            del self._buffer[: len(batch)]

    def _lose(self, count: int) -> None:
        if count > 0:
            del self._buffer[:count]
            log.error("predictions_lost", count=count)

    async def _write(self, batch: Sequence[Prediction]) -> bool:
        """Write a batch to the database; False, and the database counts as away, if not."""
        if self._away or self._busy():
            return False
        self._writing = self._in(self._database_thread, self._store.add, batch)
        try:
            await asyncio.wait_for(asyncio.shield(self._writing), _SLOW_SECONDS)
        except Exception as error:  # whatever it is, the batch must not be lost
            log.warning("database_away_spooling", detail=_detail(error))
            # Should it fail after all, the batch is in the spool.
            self._writing.add_done_callback(lambda writing: writing.exception())
            self._away = True
            return False
        return True

    async def _write_to_spool(self, batch: Sequence[Prediction]) -> bool:
        try:
            await self._in(self._spool_thread, _write_spool, self._spool, batch)
        except OSError as error:
            log.error("spool_not_written", detail=str(error))
            return False
        finally:
            self._spooled = True  # without a file too: a replay tells when the database is back
        return True

    def _busy(self) -> bool:
        return self._writing is not None and not self._writing.done()

    def _replay(self) -> None:
        """Begin to bring what is spooled into the database, if that may work by now."""
        if self._spooled and not self._busy() and time.monotonic() >= self._replay_at:
            self._spooled = False
            self._writing = self._in(self._database_thread, _replay_spool, self._store, self._spool)
            self._writing.add_done_callback(self._replayed)

    def _replayed(self, writing: asyncio.Future[None]) -> None:
        if writing.cancelled():
            return
        error = writing.exception()
        if error is None:
            self._away = False
            return
        self._spooled = True
        self._replay_at = time.monotonic() + _REPLAY_SECONDS
        if not isinstance(error, StorageUnavailable):
            log.error("spool_not_replayed", exc_info=error)

    @staticmethod
    def _in(executor: ThreadPoolExecutor, function: Any, *arguments: Any) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(executor, function, *arguments)


def _write_spool(spool: Path, batch: Sequence[Prediction]) -> None:
    """Write a batch to a file of its own, whole or not at all."""
    name = f"{batch[0].predict_time.timestamp():.6f}-{uuid.uuid4().hex}"
    temporary = spool / f"{name}.part"
    with temporary.open("w", encoding="utf-8") as file:
        for prediction in batch:
            file.write(json.dumps(asdict(prediction), default=datetime.isoformat) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(spool / f"{name}.jsonl")


def _replay_spool(store: PredictionStore, spool: Path) -> None:
    """Bring every spooled file into the database, oldest first.

    Raises:
        Exception: the files that are left stay for the next time.
    """
    for path in sorted(spool.glob("*.jsonl")):
        try:
            batch = [_prediction(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
        except FileNotFoundError:  # another front of the same state directory was faster
            continue
        except (ValueError, TypeError, KeyError) as error:
            _set_aside(path, error)
            continue
        try:
            store.add(batch)
        except InvalidArgument as error:  # waiting does not help, and the others must not wait
            _set_aside(path, error)
            continue
        path.unlink(missing_ok=True)


def _set_aside(path: Path, error: Exception) -> None:
    log.error("spool_file_damaged", path=str(path), detail=str(error))
    path.rename(path.with_suffix(".damaged"))


def _detail(error: Exception) -> str:
    return (isinstance(error, TidemillError) and error.detail) or repr(error)


def _prediction(values: dict[str, Any]) -> Prediction:
    scores = tuple(Score(**score) for score in values.pop("scores"))
    predict_time = datetime.fromisoformat(values.pop("predict_time"))
    return Prediction(scores=scores, predict_time=predict_time, **values)
