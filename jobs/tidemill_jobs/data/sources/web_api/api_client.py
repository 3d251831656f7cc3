"""A client of a third party's API: one request at a time, with pauses, retries and bounds."""

import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import stamina

from tidemill_core.domain.example import printable
from tidemill_core.errors import ConfigurationError, DataError
from tidemill_core.loopback import is_loopback
from tidemill_core.settings import HttpSource
from tidemill_jobs.data.sources.errors import ApiRefused, SourceMissing

ATTEMPTS = 5
"""Attempts for a request if the API is overloaded, broken or unreachable."""

MAX_RETRY_AFTER_SECONDS = 120.0
"""Longest wait before a retry; if the API asks for more, the run fails."""

MAX_RESPONSE_BYTES = 64 << 20
"""Maximum size of an answer after decompression."""

ANSWER_SECONDS = 600.0
"""Maximum time for an answer's body, however steadily it arrives. `timeout_seconds` limits each
part of the headers, whose size is bounded."""

NOT_THERE = (400, 404, 410, 416, 422)
"""Statuses with which APIs answer a request for a page after the last one."""

_LINKS = re.compile(r'<([^<>]*)>((?:\s*;\s*[^\s=;,]+(?:\s*=\s*(?:"[^"]*"|[^\s;,"]+))?)*)')
_RELATION = re.compile(r';\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))', re.IGNORECASE)
_API_BROKEN = "API_BROKEN"
_TOO_MANY_REQUESTS = 429
_NO_CONTENT = (204, 205)


@dataclass(frozen=True)
class ApiPage:
    """One answer.

    Attributes:
        url: the URL of the request.
        content: its JSON.
        next_url: the next page by its Link header; empty without one.
    """

    url: httpx.URL
    content: Any
    next_url: str


class _TryAgain(Exception):
    """The API gave no answer, but may do so later.

    Attributes:
        reason: the reason of the final error.
        wait_seconds: how long the API asks callers to wait; None if it does not say.
    """

    def __init__(self, reason: str, problem: str, wait_seconds: float | None = None) -> None:
        super().__init__(problem)
        self.reason = reason
        self.wait_seconds = wait_seconds


class ApiClient:
    """A client with one connection, which is open until `close`."""

    def __init__(self, settings: HttpSource) -> None:
        headers = {"Accept": "application/json", **_credential(settings)}
        # A proxy cannot reach this machine's loopback.
        is_own = is_loopback(httpx.URL(settings.url).host)
        # A redirect could send the token to another host.
        self._http = httpx.Client(
            headers=headers,
            timeout=settings.timeout_seconds,
            follow_redirects=False,
            mounts={"http://": None, "https://": None} if is_own else None,
        )
        self._pause = 1 / settings.requests_per_second
        self._next_time = 0.0

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, url: httpx.URL, may_be_missing: bool) -> ApiPage | None:
        """Request one page; return None for a page after the last one.

        Args:
            url: the page's URL.
            may_be_missing: whether the page may come after the last one: then a status in
                NOT_THERE or an empty answer is not an error.

        Raises:
            DataError: API_UNREACHABLE, API_OVERLOADED, API_BROKEN, API_DENIED, API_REFUSED,
                API_TOO_SLOW, SOURCE_MISSING, RESPONSE_TOO_LARGE or NOT_JSON; names the URL without
                its parameters.
        """
        try:
            for attempt in stamina.retry_context(on=_backoff, attempts=ATTEMPTS, timeout=None):
                with attempt:
                    return self._get(url, may_be_missing)
        except _TryAgain as error:
            cure = f"it failed {ATTEMPTS} times; the next run tries again"
            if (error.wait_seconds or 0.0) > MAX_RETRY_AFTER_SECONDS:
                cure = f"it asks callers to wait {error.wait_seconds:.0f} s; run the job again then"
            raise DataError(error.reason, f"{place(url)} {error}; {cure}") from error
        raise AssertionError  # not reached: the last attempt returns or raises

    def _get(self, url: httpx.URL, may_be_missing: bool) -> ApiPage | None:
        time.sleep(max(0.0, self._next_time - time.monotonic()))
        self._next_time = time.monotonic() + self._pause
        try:
            with self._http.stream("GET", url) as response:
                if may_be_missing and response.status_code in NOT_THERE:
                    return None
                _check_status(url, response)
                body = b"null" if response.status_code in _NO_CONTENT else _body(url, response)
                if may_be_missing and not body.strip():
                    return None
                next_url = next_link(response.headers.get("link", ""))
        except httpx.TransportError as error:
            problem = f"did not answer: {str(error) or type(error).__name__}"
            raise _TryAgain("API_UNREACHABLE", problem) from error
        except UnicodeError as error:
            problem = "has an invalid host name"
            raise ApiRefused(place(url), problem, "fix the source's url") from error
        except httpx.DecodingError as error:
            raise _TryAgain(_API_BROKEN, f"sent a damaged answer: {error}") from error
        return ApiPage(
            url,
            _json(url, body, response.headers.get("content-type", "content without a type")),
            next_url,
        )


def next_link(header: str) -> str:
    """Return the URL of a Link header (RFC 8288) that has the relation `next`; empty without one.

    httpx's own reader misses a link with several relations, and cuts a URL at a semicolon.
    """
    for url, parameters in _LINKS.findall(header):
        relation = _RELATION.search(parameters)
        if relation and "next" in (relation[1] or relation[2]).lower().strip("'").split():
            return str(url).strip()
    return ""


def place(url: httpx.URL) -> str:
    """Return a URL without parameters and user names, which may be secret."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}{url.path}"


def _credential(settings: HttpSource) -> dict[str, str]:
    """Return the header with the token."""
    if settings.auth == "none":
        return {}
    token = settings.token.strip()
    if not (token.isascii() and token.isprintable()):
        raise ConfigurationError(
            f"the environment variable {settings.token_env} has a character that is not allowed in "
            "a header; set it to the token alone"
        )
    if settings.auth == "bearer":
        return {"Authorization": f"Bearer {token}"}
    return {settings.auth_header: token}


def _backoff(error: Exception) -> bool | float:
    """Return how long to wait before the next attempt; False if the call must not be retried."""
    if not isinstance(error, _TryAgain):
        return False
    if error.wait_seconds is None:
        return True
    return error.wait_seconds if error.wait_seconds <= MAX_RETRY_AFTER_SECONDS else False


def _check_status(url: httpx.URL, response: httpx.Response) -> None:
    code = response.status_code
    problem = f"answered {code} {response.reason_phrase}"
    if code == _TOO_MANY_REQUESTS:
        raise _TryAgain("API_OVERLOADED", problem, _retry_after(response))
    if code >= 500:
        raise _TryAgain(_API_BROKEN, problem, _retry_after(response))
    if code in (401, 403):
        cure = "fix auth and token_env, or the token's permissions"
        raise DataError("API_DENIED", f"{place(url)} {problem}; {cure}")
    if code in (404, 410):
        raise SourceMissing(f"{place(url)} {problem}", "fix the source's url")
    if not response.is_success:
        cure = "fix the source's url and parameters"
        if response.has_redirect_location:
            target = url.join(response.headers["location"])
            cure = f"it redirects to {place(target)}; if that is right, make it the source's url"
        raise ApiRefused(place(url), problem, cure)


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds to wait; the header has them as a number or as a date."""
    value = response.headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _body(url: httpx.URL, response: httpx.Response) -> bytes:
    body, deadline = bytearray(), time.monotonic() + ANSWER_SECONDS
    for chunk in response.iter_bytes():
        body += chunk
        if time.monotonic() > deadline:
            problem = f"takes more than {ANSWER_SECONDS:.0f} s for an answer; ask for smaller pages"
            raise DataError("API_TOO_SLOW", f"{place(url)} {problem}")
        if len(body) > MAX_RESPONSE_BYTES:
            size = f"{MAX_RESPONSE_BYTES >> 20} MiB"
            problem = f"answered with more than {size}; ask for smaller pages"
            raise DataError("RESPONSE_TOO_LARGE", f"{place(url)} {problem}")
    return bytes(body)


def _json(url: httpx.URL, body: bytes, content_type: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        # The library's message may contain a person's text.
        begins = printable(body[:1].decode(errors="backslashreplace"))
        problem = (
            f"answered with {content_type} that is not complete JSON and begins with {begins!r}"
        )
        cure = "fix the source's url; rows that were read before stay"
        raise DataError("NOT_JSON", f"{place(url)} {problem}; {cure}") from error
