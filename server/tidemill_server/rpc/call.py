"""Calls, as transports hand them to the pipeline."""

from typing import Protocol

Metadata = tuple[tuple[str, str | bytes], ...]
"""Names in lower case, with their values; the value of a name that ends in `-bin` is bytes."""


MAX_SECONDS = 24 * 3600.0
"""The longest time that a call gets, however much later its deadline is."""


class Call(Protocol):
    """One call.

    If its caller cancels it or hangs up, the task that serves it is cancelled.

    Attributes:
        metadata: the caller's metadata.
        peer: the caller's address in gRPC's form, such as `ipv4:127.0.0.1:50123`.
        deadline: the caller's deadline on the event loop's clock; None if it has none.
    """

    @property
    def metadata(self) -> Metadata: ...  # noqa: D102 -- in Attributes

    @property
    def peer(self) -> str: ...  # noqa: D102 -- in Attributes

    @property
    def deadline(self) -> float | None: ...  # noqa: D102 -- in Attributes

    async def read(self) -> bytes | None:
        """Return the caller's next message; None after the last.

        Raises:
            TidemillError: MalformedMessage or MessageTooLarge.
        """

    async def write(self, message: bytes) -> None:
        """Send a message; waits while the caller does not read."""


def peer_of(client: tuple[str, int] | None) -> str:
    """Return a caller's address in gRPC's form; None is a caller without one."""
    if client is None:
        return "unknown"
    host, port = client
    return f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"
