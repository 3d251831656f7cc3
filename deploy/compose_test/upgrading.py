"""An upgrade from an earlier commit and the way back, as docs/backup.md describes them."""

import time
from collections.abc import Mapping
from pathlib import Path

from deploy.compose_test.engine import Failed
from deploy.compose_test.stack import LABELS, Stack, wait_until
from deploy.compose_test.steps import version_of
from deploy.compose_test.traffic import Traffic

_SCHEMA = "select version_num from alembic_version"
_NEWER = "tidemill_newer"
_LEAST = 200
"""Predictions that each phase waits for."""


class Upgrade:
    """A stack that moves between the images of two commits.

    Args:
        stack: it runs the earlier images.
        key: of its callers.
        earlier, current: the image of each service.
        dump: a file for the backup.
    """

    def __init__(
        self,
        stack: Stack,
        key: str,
        earlier: Mapping[str, str],
        current: Mapping[str, str],
        dump: Path,
    ) -> None:
        self._stack, self._key, self._dump = stack, key, dump
        self._earlier, self._current = earlier, current
        self._before, self._since = Traffic(stack, key), Traffic(stack, key)

    def back_up(self) -> str:
        """Back up the database while callers go on."""
        with self._before as traffic:
            traffic.wait_for(_LEAST)
        if lost := self._before.lost():
            raise Failed(f"{self._before.summary()}, {lost} lost")
        with self._since as traffic:
            begin = len(traffic.predictions)
            dump = ("pg_dump", "--username=tidemill", "--format=custom", "tidemill")
            self._stack.compose("exec", "-T", "postgres", *dump, redirected=f"> {self._dump}")
            during = len(traffic.predictions) - begin
        size = self._dump.stat().st_size / 1e6
        return f"{self._before.summary()}; {size:.1f} MB; {during} predictions during the backup"

    def upgrade(self) -> str:
        """Replace the images while callers go on: the jobs migrate, and then the front follows."""
        (before,) = self._stack.sql(_SCHEMA)
        traffic = Traffic(self._stack, self._key)
        with traffic:
            traffic.wait_for(_LEAST)
            self._stack.use(self._current)
            self._stack.up("jobs")
            (after,) = self._stack.sql(_SCHEMA)
            mixed = len(traffic.predictions)
            traffic.wait_for(_LEAST)
            mixed = len(traffic.predictions) - mixed
            failed = len(traffic.failures)
            self._stack.up()
            traffic.wait_for(_LEAST)
        lost = traffic.lost()
        if before == after or lost:
            raise Failed(f"schema {before} -> {after}; {traffic.summary()}, {lost} lost")
        self._since.predictions |= traffic.predictions
        self._since.verdicts |= traffic.verdicts
        return (
            f"schema {before} to {after}; on it the earlier front answered {mixed} predictions, "
            f"{failed} calls failed; in all {traffic.summary()}, {lost} acknowledged calls lost"
        )

    def roll_back(self) -> str:
        """Restore the backup into a new database, and start the earlier images on it."""
        stack, begin = self._stack, time.monotonic()
        (newer,) = stack.sql(_SCHEMA)
        stack.compose("stop", "server", "jobs")
        stack.sql(f"alter database tidemill rename to {_NEWER}", "postgres")
        stack.sql("create database tidemill", "postgres")
        restore = ("pg_restore", "--username=tidemill", "--dbname=tidemill", "--exit-on-error")
        stack.compose("exec", "-T", "postgres", *restore, redirected=f"< {self._dump}")
        stack.use(self._earlier)
        stack.up()
        wait_until(lambda: version_of(stack, self._key) == 1, "version 1 answers")
        seconds = time.monotonic() - begin
        (older,) = stack.sql(_SCHEMA)
        missing, gone = self._before.missing(), self._since.missing()
        aside = self._since.missing(_NEWER)
        if missing or aside or older == newer:
            raise Failed(f"schema {newer} -> {older}: {missing} missing, {aside} not kept aside")
        self._give_feedback()
        kept = f"{len(self._before.predictions)} predictions, {len(self._before.verdicts)} verdicts"
        return (
            f"schema {newer} to {older}, version 1 answers after {seconds:.0f} s; from before the "
            f"backup {kept}, {missing} missing; {gone} later ones are in {_NEWER} only, "
            f"{aside} missing"
        )

    def _give_feedback(self) -> None:
        """Give feedback on a prediction from before the backup."""
        with self._stack.client(self._key) as client:
            prediction = min(self._before.predictions)
            client.submit_feedback(prediction, label=LABELS[0], source="after the way back")
