"""A page's question to a service, as a call of the pipeline."""

import asyncio

from google.protobuf.message import Message

from tidemill_server.rpc.call import Metadata

PAGE_SECONDS = 30.0
"""How long a page waits for an answer; a promotion may take 20 s."""


class PageCall:
    """One call inside the process.

    Args:
        message: the request.
        metadata: the session's.
        peer: the browser's address.

    Attributes:
        answer: the answer's message, encoded; empty before it is there.
    """

    def __init__(self, message: Message, metadata: Metadata, peer: str) -> None:
        self._message: bytes | None = message.SerializeToString()
        self.metadata = metadata
        self.peer = peer
        self.deadline: float | None = asyncio.get_running_loop().time() + PAGE_SECONDS
        self.answer = b""

    async def read(self) -> bytes | None:
        """Return the request once, then None."""
        message, self._message = self._message, None
        return message

    async def write(self, message: bytes) -> None:
        """Take the answer."""
        self.answer = message
