"""From a browser's request to a page: who asks, from where, and with which form."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tidemill_core.domain.access import NOBODY
from tidemill_core.errors import InvalidArgument, NotFound, TidemillError
from tidemill_server.console.navigation import ROOT
from tidemill_server.console.session import SESSION_SECONDS, Session, new_session
from tidemill_server.console.visit import Console, Visit
from tidemill_server.gateway.problem import Failed, problem_of
from tidemill_server.rpc.decoding import MESSAGE_SECONDS, MessageNotSent, MessageTooLarge
from tidemill_server.rpc.status import UNEXPECTED, failure

MAX_FORM_BYTES = 1024 * 1024
MAX_FORM_FIELDS = 100
SIGN_IN = f"{ROOT}/sign-in"
HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # with no-referrer, forms would have the origin "null"
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_UNAUTHENTICATED = 401
_AGAIN = (
    '<!doctype html><meta http-equiv="refresh" content="0"><title>Tidemill</title>'
    f'<link rel="icon" href="{ROOT}/static/icon.svg">'
)
"""A page that asks for itself again: then this site asks, and the browser sends the session."""
_INSTEAD_OF_THE_PAGE = {
    "hx-retarget": "#main",
    "hx-reselect": "#main",
    "hx-reswap": "outerHTML",
}
"""The headers with which htmx shows a problem in place of the whole page."""

log = structlog.get_logger()

Answer = Callable[[Visit], Awaitable[Response]]


class FormExpired(InvalidArgument):
    """A form without the CSRF token of its session."""

    def __init__(self) -> None:
        super().__init__("FORM_EXPIRED", "csrf", "is not this session's: open the page again")


class UnknownTask(NotFound):
    """A page of a task that does not exist."""

    def __init__(self, task: str) -> None:
        super().__init__("task", task)
        self.reason = "UNKNOWN_TASK"  # the reason of the calls


class PageProblem(NamedTuple):
    """Why a page could not be shown.

    Attributes:
        status: the HTTP status.
        title: it in words.
        detail: what happened.
        reason: one word for programs.
    """

    status: int
    title: str
    detail: str
    reason: str


def get(path: str, answer: Answer, is_open: bool = False) -> Route:
    """Return the route of a page; one that is open needs no sign-in."""
    return _route(path, answer, "GET", is_open)


def post(path: str, answer: Answer, is_open: bool = False) -> Route:
    """Return the route of a form, whose CSRF token is checked first."""
    return _route(path, answer, "POST", is_open)


def _route(path: str, answer: Answer, method: str, is_open: bool) -> Route:
    async def endpoint(request: Request) -> Response:
        console: Console = request.app.state.console
        if _came_from_elsewhere(request):
            return HTMLResponse(_AGAIN)
        session = console.sessions.of(request.cookies)
        fresh = session or new_session()
        try:
            response = await _answered(console, request, fresh, answer, is_open)
        except Failed as failed:
            response = _failed(console, request, fresh, problem(failed))
        except TidemillError as error:
            response = _failed(console, request, fresh, problem(Failed(failure(error, None))))
        except Exception:
            log.exception("page_failed", path=path)
            response = _failed(console, request, fresh, problem(Failed(UNEXPECTED)))
        if session is None and "set-cookie" not in response.headers:
            keep(response, console, request, fresh)
        return response

    return Route(path, endpoint, methods=[method])


def _came_from_elsewhere(request: Request) -> bool:
    """Return whether another site's link led here: browsers then keep the session's cookie back."""
    shown = request.headers.get("sec-fetch-site"), request.headers.get("sec-fetch-mode")
    return request.method == "GET" and shown == ("cross-site", "navigate")


async def _answered(
    console: Console, request: Request, session: Session, answer: Answer, is_open: bool
) -> Response:
    console.own_names.check(request.headers.get("host", ""), request.headers.get("origin"))
    form: Mapping[str, str] = {}
    if request.method == "POST":
        form = await _form_in_time(console.pipeline.drain.until_drained(request.stream()))
        if not console.sessions.is_csrf_token(session, form.get("csrf", "")):
            raise FormExpired
    caller = NOBODY
    if not is_open:
        caller = await console.pipeline.gatekeeper.identify(session.metadata)
    visit = Visit(console, request, session, caller, form)
    if visit.task and visit.task not in console.settings.tasks:
        raise UnknownTask(visit.task)
    return await answer(visit)


async def _form_in_time(body: AsyncIterator[bytes]) -> Mapping[str, str]:
    try:
        async with asyncio.timeout(MESSAGE_SECONDS):
            return await _form(body)
    except TimeoutError as error:
        raise MessageNotSent from error


async def _form(body: AsyncIterator[bytes]) -> Mapping[str, str]:
    content = bytearray()
    try:
        async for part in body:
            content += part
            if len(content) > MAX_FORM_BYTES:
                raise MessageTooLarge(MAX_FORM_BYTES)
        fields = parse_qsl(
            content.decode(),
            keep_blank_values=True,
            max_num_fields=MAX_FORM_FIELDS,
            errors="strict",
        )
    except (ValueError, ClientDisconnect) as error:
        rule = "must be a form in UTF-8 with at most 100 fields"
        raise InvalidArgument("MALFORMED_FORM", "body", rule) from error
    # Browsers send line ends of a text area as two characters.
    return {name: value.replace("\r\n", "\n") for name, value in fields}


def problem(failed: Failed) -> PageProblem:
    """Return why a call failed, as REST says it."""
    body = problem_of(failed.status)
    return PageProblem(body["status"], body["title"], body["detail"], body.get("reason", ""))


def _failed(console: Console, request: Request, session: Session, why: PageProblem) -> Response:
    if why.status == _UNAUTHENTICATED:
        if "hx-request" in request.headers:  # a fragment cannot be a page
            return Response(headers={"hx-redirect": SIGN_IN})
        if "text/event-stream" in request.headers.get("accept", ""):
            event = f"event: sign-in\ndata: {SIGN_IN}\n\n"
            return Response(event, media_type="text/event-stream")
        return RedirectResponse(SIGN_IN, 303)
    response = Visit(console, request, session, NOBODY).show(
        "problem.html", why.status, problem=why
    )
    if "hx-request" in request.headers:
        response.headers.update(_INSTEAD_OF_THE_PAGE)
    return response


async def no_page(request: Request, _: Exception) -> Response:
    """Return the page that says that an address has no page."""
    why = PageProblem(404, "No such page", "Nothing is at this address.", "")
    return _failed(request.app.state.console, request, new_session(), why)


def keep(response: Response, console: Console, request: Request, session: Session) -> None:
    """Send a session to the browser."""
    response.set_cookie(
        console.sessions.cookie_of(session),
        console.sessions.sealed(session),
        max_age=SESSION_SECONDS,
        path=ROOT,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
