"""The seam between the process and the server that carries its calls."""

from typing import Protocol

CONNECTION_LIMIT = 10_000
"""Connections that a process accepts at a time."""
MAX_METADATA_BYTES = 16 * 1024
MAX_STREAMS_A_CONNECTION = 512
RETIRE_SECONDS = 12.0
"""Time that callers get to move to another process."""
GRACE_SECONDS = 10.0
"""Time that calls get to finish."""


class Transport(Protocol):
    """A server on one port."""

    async def start(self) -> None:
        """Listen, and accept calls from now on.

        Raises:
            AlreadyRunning: the port is taken.
            ConfigurationError: the server cannot use its certificate.
        """

    async def wait(self) -> None:
        """Return when the server has stopped by itself; raise what stopped it."""

    async def retire(self) -> None:
        """Accept no new connections, and return when the calls on the open ones have ended.

        Callers move to another process, which must already listen on the port. Returns after at
        most RETIRE_SECONDS, when long streams may still be open.
        """

    async def stop(self) -> None:
        """Accept no new calls, and return when those in flight have ended.

        Returns after at most GRACE_SECONDS, when some may be cut off.
        """
