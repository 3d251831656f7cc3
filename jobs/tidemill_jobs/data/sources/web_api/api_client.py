"""One request at a time to a third party's API: paced, repeated where that may help, bounded."""

import json
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
"""How often a request is tried, where the API is overloaded, broken or away."""

MAX_RETRY_AFTER_SECONDS = 120.0
"""An API that wants more is left to the next run."""

MAX_RESPONSE_BYTES = 64 << 20
"""Longer answers are not read, compressed or not."""

ANSWER_SECONDS = 600.0
"""An answer's body that takes longer is given up, however steadily it comes. Its headers have
`timeout_seconds` for each part, and are bounded in size."""

NOT_THERE = (400, 404, 410, 416, 422)
"""How APIs answer who asks for a page behind the last."""

_TOO_MANY_REQUESTS = 429
_NO_CONTENT = (204, 205)


@dataclass(frozen=True)
class ApiPage:
    """One answer.

    Attributes:
        url: what was asked.
        content: its JSON.
        next_url: where its Link header says the next one is; empty where it does not.
    """

    url: httpx.URL
    content: Any
    next_url: str


class _TryAgain(Exception):
    """The API gave no answer, and may do so later.

    Attributes:
        reason: what to call it, if it never does.
        wait_seconds: how long it asks to be left alone; None where it does not say.
    """

    def __init__(self, reason: str, told: str, wait_seconds: float | None = None) -> None:
        super().__init__(told)
        self.reason = reason
        self.wait_seconds = wait_seconds


class ApiClient:
    """Asks for pages; holds a connection until `close`."""

    def __init__(self, settings: HttpSource) -> None:
        headers = {"Accept": "application/json", **_credential(settings)}
        # A redirect could carry the token to another host.
        # No proxy reaches this machine.
        is_own = is_loopback(httpx.URL(settings.url).host)
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
        """Ask for one page.

        Args:
            url: the page's.
            may_be_missing: whether it may lie behind the last one; then NOT_THERE makes it None.

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
            if (error.wait_seconds or 0.0) > MAX_RETRY_AFTER_SECONDS:
                cure = (
                    f"it wants to be left alone for {error.wait_seconds:.0f} s: run it again then"
                )
            else:
                cure = f"it was asked {ATTEMPTS} times; the next run asks again"
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
                next_url = response.links.get("next", {}).get("url", "")
        except httpx.TransportError as error:
            told = f"did not answer: {str(error) or type(error).__name__}"
            raise _TryAgain("API_UNREACHABLE", told) from error
        except UnicodeError as error:
            told = "has a host name that no server can have"
            raise ApiRefused(place(url), told, "fix the source's url") from error
        except httpx.DecodingError as error:
            raise _TryAgain("API_BROKEN", f"sent a damaged answer: {error}") from error
        return ApiPage(
            url, _json(url, body, response.headers.get("content-type", "no type")), next_url
        )


def place(url: httpx.URL) -> str:
    """A URL as it may be shown: parameters and user names may be secret."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}{url.path}"


def _credential(settings: HttpSource) -> dict[str, str]:
    """The header that shows the token."""
    if settings.auth == "none":
        return {}
    token = settings.token.strip()
    if not (token.isascii() and token.isprintable()):
        told = f"the environment variable {settings.token_env} has a character that no header may"
        raise ConfigurationError(f"{told} have; set it again, to the token alone")
    if settings.auth == "bearer":
        return {"Authorization": f"Bearer {token}"}
    return {settings.auth_header: token}


def _backoff(error: Exception) -> bool | float:
    """How long to wait before the next try; False, if it is none that may be repeated."""
    if not isinstance(error, _TryAgain):
        return False
    if error.wait_seconds is None:
        return True
    return error.wait_seconds if error.wait_seconds <= MAX_RETRY_AFTER_SECONDS else False


def _check_status(url: httpx.URL, response: httpx.Response) -> None:
    code = response.status_code
    told = f"answered {code} {response.reason_phrase}"
    if code == _TOO_MANY_REQUESTS:
        raise _TryAgain("API_OVERLOADED", told, _retry_after(response))
    if code >= 500:
        raise _TryAgain("API_BROKEN", told, _retry_after(response))
    if code in (401, 403):
        cure = "fix auth and token_env, or the token's rights"
        raise DataError("API_DENIED", f"{place(url)} {told}; {cure}")
    if code in (404, 410):
        raise SourceMissing(f"{place(url)} {told}", "fix the source's url")
    if not response.is_success:
        cure = "fix the source's url and parameters"
        if response.has_redirect_location:
            target = url.join(response.headers["location"])
            cure = f"it redirects to {place(target)}: if that is right, make it the source's url"
        raise ApiRefused(place(url), told, cure)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait, which may be written as a number or as a date."""
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
            told = f"takes more than {ANSWER_SECONDS:.0f} s for an answer; ask for smaller pages"
            raise DataError("API_TOO_SLOW", f"{place(url)} {told}")
        if len(body) > MAX_RESPONSE_BYTES:
            told = f"its answer has more than {MAX_RESPONSE_BYTES >> 20} MiB; ask for smaller pages"
            raise DataError("RESPONSE_TOO_LARGE", f"{place(url)}: {told}")
    return bytes(body)


def _json(url: httpx.URL, body: bytes, content_type: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        # Not what it says: that may be a person's text.
        begins = printable(body[:1].decode(errors="backslashreplace"))
        told = f"answered {content_type} that is no whole JSON, beginning {begins!r}"
        cure = "fix the source's url; what was read before it stands"
        raise DataError("NOT_JSON", f"{place(url)} {told}; {cure}") from error
