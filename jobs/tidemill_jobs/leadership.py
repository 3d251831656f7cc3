"""The lease of the process that schedules: one process leads, the others wait for it."""

import os
import socket
import time
import uuid
from collections.abc import Callable
from datetime import timedelta

import structlog

from tidemill_core.storage.leases import LeaseStore

LEASE = "jobs"
LEASE_LENGTH = timedelta(seconds=15)
RENEW_SECONDS = 5.0
"""How often the leader renews its lease: a renewal that fails can be repeated before it ends."""
ASK_SECONDS = 3.0
"""How often a process that waits asks for a lease; its holder may release it before it ends."""

log = structlog.get_logger()


class Leadership:
    """The lease, as one process sees it.

    Args:
        leases: the leases of the database.
        monotonic: returns seconds that never go back.

    Attributes:
        holder: this process's name, which other processes log while they wait.
    """

    def __init__(self, leases: LeaseStore, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.holder = f"{socket.gethostname()[:40]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._leases = leases
        self._monotonic = monotonic
        self._until = 0.0
        self._ask_at = 0.0
        self._waits_for = ""

    def take(self) -> bool:
        """Take the lease, or renew it when it is time, and return whether this process leads.

        While another process has it, log once which one.
        """
        begin = self._monotonic()
        if begin < self._ask_at:
            return self.holds()
        lease = self._leases.acquire(LEASE, self.holder, LEASE_LENGTH)
        if lease.holder == self.holder:
            self._until = begin + LEASE_LENGTH.total_seconds()
            self._ask_at = begin + RENEW_SECONDS
            self._waits_for = ""
            return True
        self.stop()
        self._ask_at = begin + min(ASK_SECONDS, lease.remaining.total_seconds())
        if lease.holder != self._waits_for:
            self._waits_for = lease.holder
            renewed = lease.expire_time - LEASE_LENGTH
            log.info("waiting_to_lead", leader=lease.holder, leader_renewed=renewed.isoformat())
        return False

    def holds(self) -> bool:
        """Return whether the lease is still this process's, also after the process was stopped."""
        return self._monotonic() < self._until

    def stop(self) -> None:
        """Stop leading by this process's own clock; the lease ends by itself."""
        self._until = 0.0

    def release(self) -> None:
        """Let another process lead when it asks next."""
        self.stop()
        self._leases.release(LEASE, self.holder)
