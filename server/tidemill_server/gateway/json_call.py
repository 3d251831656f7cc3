"""A request over HTTP, as a call of the pipeline."""

import asyncio
import re
from collections.abc import Mapping

from fastapi import Request
from starlette.requests import ClientDisconnect

from tidemill_core.errors import InvalidArgument
from tidemill_server.gateway.json_body import Body, encoded, parsed
from tidemill_server.gateway.site import Site
from tidemill_server.rpc.call import MAX_SECONDS, Metadata, peer_of
from tidemill_server.rpc.decoding import MessageTooLarge
from tidemill_server.rpc.methods import Method
from tidemill_server.transports.room import Share

TIMEOUT_HEADER = "request-timeout"
"""The header with the seconds that a caller waits for the answer."""
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")
_JSON = re.compile(r"application/json(\s*;\s*charset=\"?utf-8\"?)?", re.IGNORECASE)


class JsonCall:
    """One request: the call's one message is its JSON body.

    Args:
        request: the request.
        method: the method that it calls.
        body: the fields that the JSON may have.
        given: fields of the message that come from elsewhere; the JSON may set them too.
        site: the names of this server.
        share: what the call holds of the room for large bodies.

    Attributes:
        answer: the answer's message, encoded; empty before it is there.
    """

    def __init__(
        self,
        request: Request,
        method: Method,
        body: type[Body],
        given: Mapping[str, str],
        site: Site,
        share: Share,
    ) -> None:
        self._request = request
        self._method = method
        self._body = body
        self._given = given
        self._site = site
        self._share = share
        self._is_read = False
        self.answer = b""
        self.metadata: Metadata = tuple(request.headers.items())
        self.peer = peer_of(request.client)
        timeout = request.headers.get(TIMEOUT_HEADER, "")
        now = asyncio.get_running_loop().time()
        self.deadline = (
            now + min(float(timeout), MAX_SECONDS) if _SECONDS.fullmatch(timeout) else None
        )

    async def read(self) -> bytes | None:
        """Return the message of the body; None when it was read before.

        Raises:
            PermissionDenied: the request comes from another site's page.
            InvalidArgument: UNSUPPORTED_MEDIA_TYPE, INVALID_TIMEOUT, or what `parsed` raises.
            MessageTooLarge: the body is larger than the method's messages may be.
            NoRoom: the large bodies and messages of other calls leave no room for it.
            CancelledError: the caller is gone.
        """
        if self._is_read:
            return None
        self._is_read = True
        headers = self._request.headers
        self._site.check(headers.get("host", ""), headers.get("origin"))
        if not _JSON.fullmatch(headers.get("content-type", "")):
            raise _Unsupported("content-type", "must be application/json")
        if headers.get("content-encoding", "identity") != "identity":
            raise _Unsupported("content-encoding", "must be left out: bodies are not compressed")
        if TIMEOUT_HEADER in headers and self.deadline is None:
            rule = "must be a number of seconds, such as 2.5"
            raise InvalidArgument("INVALID_TIMEOUT", TIMEOUT_HEADER, rule)
        fields = parsed(await self._content(), self._body)
        return encoded(self._method.request, {**self._given, **fields})

    async def write(self, message: bytes) -> None:
        """Take the answer."""
        self.answer = message

    async def _content(self) -> bytes:
        limit, content = self._method.max_bytes, bytearray()
        try:
            async for part in self._request.stream():
                content += part
                if len(content) > limit:
                    raise MessageTooLarge(limit)
                self._share.hold(len(content))
        except ClientDisconnect as error:
            raise asyncio.CancelledError from error
        return bytes(content)


class _Unsupported(InvalidArgument):
    """A body that is no JSON in clear."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__("UNSUPPORTED_MEDIA_TYPE", field, rule)
