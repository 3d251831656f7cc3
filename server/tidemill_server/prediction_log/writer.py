"""The writer of the log: takes predictions, and stores them in batches."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from tidemill_core.domain.prediction import Prediction
from tidemill_core.errors import StorageUnavailable, TidemillError
from tidemill_core.log_policy import LogPolicy
from tidemill_core.settings import PredictionLogSettings
from tidemill_core.storage.predictions import PredictionStore
from tidemill_server.prediction_log.held import HeldPredictions
from tidemill_server.prediction_log.replay import replay
from tidemill_server.prediction_log.spool import Spool
from tidemill_server.telemetry.families import Families

FLUSH_SECONDS = 0.05
_SLOW_SECONDS = 1.0
"""A database that needs longer for one batch counts as away."""
_REPLAY_SECONDS = 1.0
_REPORT_SECONDS = 1.0
_MEGABYTE = 1_000_000

log = structlog.get_logger()


class PredictionLog:
    """The batching writer, on one event loop.

    Args:
        store: the database's predictions.
        spool: folder for predictions that are not in the database yet; all workers share it.
        policy: what is stored; by default everything.
        limits: bounds on memory and disk; by default those of the settings.
        metrics: counts predictions; by default unpublished.
    """

    def __init__(
        self,
        store: PredictionStore,
        spool: Path,
        policy: LogPolicy | None = None,
        limits: PredictionLogSettings | None = None,
        metrics: Families | None = None,
    ) -> None:
        limits = limits or PredictionLogSettings()
        self._store = store
        self._folder = spool
        spool.mkdir(parents=True, exist_ok=True)
        self._spool = Spool(spool, limits.max_spool_mb * _MEGABYTE)
        self._held = HeldPredictions(limits.max_held_rows)
        self._policy = policy or LogPolicy({}, b"")
        self._metrics = metrics or Families("")
        self._away = False
        self._spooled = True  # the previous process may have left files
        self._replay_at = self._measure_at = self._report_at = self._complain_at = 0.0
        self._unreported = 0
        self._writing: asyncio.Future[None] | None = None
        self._measuring: asyncio.Future[None] | None = None
        self._closing = asyncio.Event()
        # A write may hang on a locked database, so spooling has its own thread.
        self._database_thread = ThreadPoolExecutor(1, "prediction-log")
        self._spool_thread = ThreadPoolExecutor(1, "prediction-spool")

    def add(self, predictions: Sequence[Prediction]) -> None:
        """Take predictions, without blocking."""
        stored = self._policy.sample(predictions)
        self._metrics.log_rows["sampled_out"].inc(len(predictions) - len(stored))
        self._lose(self._held.add(stored))

    async def run(self) -> None:
        """Write until `close`, then write the rest to the database or else to the spool."""
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), FLUSH_SECONDS)
            await self._flush()
            self._replay()
            self._observe()
            self._report_losses()
        self._lose(len(self._held))
        self._report_at = 0.0
        self._report_losses()
        self._end_threads()

    def close(self) -> None:
        """End `run`."""
        self._closing.set()

    def _end_threads(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
        self._database_thread.shutdown(wait=False, cancel_futures=True)
        self._spool_thread.submit(self._spool.seal)
        self._spool_thread.shutdown()

    async def _flush(self) -> None:
        while batch := self._held.take():
            if not await self._write(batch) and not await self._write_to_spool(batch):
                self._lose(self._held.put_back(batch))
                return

    async def _write(self, batch: Sequence[Prediction]) -> bool:
        """Write a batch to the database; on failure return False and treat it as away."""
        if self._away or self._busy():
            return False
        self._writing = self._in(self._database_thread, self._add, batch)
        try:
            await asyncio.wait_for(asyncio.shield(self._writing), _SLOW_SECONDS)
        except Exception as error:  # no error may lose the batch
            log.warning("database_away_spooling", detail=_detail(error))
            # Ignore a later error of the write, because the batch goes to the spool.
            self._writing.add_done_callback(
                lambda writing: writing.cancelled() or writing.exception()
            )
            self._away = True
            return False
        self._metrics.log_rows["database"].inc(len(batch))
        return True

    def _add(self, batch: Sequence[Prediction]) -> None:
        self._store.add([self._policy.as_stored(prediction) for prediction in batch])

    async def _write_to_spool(self, batch: Sequence[Prediction]) -> bool:
        try:
            await self._in(self._spool_thread, self._add_to_spool, batch)
        except OSError as error:
            if time.monotonic() >= self._complain_at:
                self._complain_at = time.monotonic() + _REPORT_SECONDS
                log.error("spool_not_written", detail=str(error), held_rows=len(self._held))
            return False
        finally:
            self._spooled = True  # even without a file: a replay shows that the database is back
        self._metrics.log_rows["spooled"].inc(len(batch))
        return True

    def _add_to_spool(self, batch: Sequence[Prediction]) -> None:
        self._spool.write([self._policy.as_stored(prediction) for prediction in batch])

    def _busy(self) -> bool:
        return self._writing is not None and not self._writing.done()

    def _replay(self) -> None:
        """Start a replay of the spool, if one is due."""
        if self._spooled and not self._busy() and time.monotonic() >= self._replay_at:
            self._spooled = False
            self._writing = asyncio.ensure_future(self._replay_all())
            self._writing.add_done_callback(self._after_replay)

    async def _replay_all(self) -> None:
        await self._in(self._database_thread, self._replay_files)
        # The database accepts predictions again, so no more are added to the current file.
        await self._in(self._spool_thread, self._spool.seal)
        await self._in(self._database_thread, self._replay_files)

    def _replay_files(self) -> None:
        count = self._metrics.log_rows["replayed"].inc
        replay(self._folder, self._store.add, count, self._closing.is_set)

    def _after_replay(self, writing: asyncio.Future[None]) -> None:
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

    def _lose(self, count: int) -> None:
        if count > 0:
            self._metrics.log_rows["lost"].inc(count)
            self._unreported += count
            self._report_losses()

    def _report_losses(self) -> None:
        """Log how many predictions were lost since the last report, at most once a second."""
        if self._unreported and time.monotonic() >= self._report_at:
            log.error("predictions_lost", count=self._unreported, held_rows=len(self._held))
            self._unreported = 0
            self._report_at = time.monotonic() + _REPORT_SECONDS

    def _observe(self) -> None:
        """Set the gauges, and start to measure the spool for the next time."""
        times = [self._spool.oldest] if self._spool.oldest is not None else []
        if (held := self._held.oldest_time) is not None:
            times.append(held.timestamp())
        now = datetime.now(UTC).timestamp()
        self._metrics.log_lag_seconds.set(max(0.0, now - min(times, default=now)))
        self._metrics.log_held_rows.set(len(self._held))
        self._metrics.spool_bytes.set(self._spool.size_bytes)
        idle = self._measuring is None or self._measuring.done()
        if idle and time.monotonic() >= self._measure_at:
            self._measure_at = time.monotonic() + 1.0
            self._measuring = self._in(self._spool_thread, self._spool.measure)

    @staticmethod
    def _in(executor: ThreadPoolExecutor, function: Any, *arguments: Any) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(executor, function, *arguments)


def _detail(error: Exception) -> str:
    return (isinstance(error, TidemillError) and error.detail) or repr(error)
