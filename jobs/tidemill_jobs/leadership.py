"""The lease of the process that schedules: one process leads, the others wait for it."""

import os
import socket
import time
import uuid
from datetime import timedelta

import structlog

from tidemill_core.storage.leases import LeaseStore

LEASE = "jobs"
LEASE_LENGTH = timedelta(seconds=15)

log = structlog.get_logger()


class Leadership:
    """The lease, as one process sees it.

    Attributes:
        holder: this process's name, which other processes log while they wait.
    """

    def __init__(self, leases: LeaseStore) -> None:
        self.holder = f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._leases = leases
        self._until = 0.0
        self._waits_for = ""

    def take(self) -> bool:
        """Take or renew the lease; return False, and log once whose it is, while another has it."""
        begin = time.monotonic()
        if self._leases.acquire(LEASE, self.holder, LEASE_LENGTH):
            self._until = begin + LEASE_LENGTH.total_seconds()
            self._waits_for = ""
            return True
        self.stop()
        held = self._leases.held(LEASE)
        if held is not None and held.holder != self._waits_for:
            self._waits_for = held.holder
            renewed = held.expire_time - LEASE_LENGTH
            log.info("waiting_to_lead", leader=held.holder, leader_renewed=renewed.isoformat())
        return False

    def holds(self) -> bool:
        """Return whether the lease is still this process's, also after the process was stopped."""
        return time.monotonic() < self._until

    def stop(self) -> None:
        """Stop leading by this process's own clock; the lease ends by itself."""
        self._until = 0.0

    def release(self) -> None:
        """Let another process lead at once."""
        self.stop()
        self._leases.release(LEASE, self.holder)
