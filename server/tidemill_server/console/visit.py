"""One request of a browser, and what a page may do with it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from google.protobuf.message import Message
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tidemill_core.clock import Clock
from tidemill_core.domain.access import Authentication, Caller, Scope
from tidemill_core.errors import InvalidArgument
from tidemill_core.settings import Settings, TaskSettings
from tidemill_server.console.navigation import Place, places, task_path
from tidemill_server.console.page_call import PageCall
from tidemill_server.console.session import Session, Sessions
from tidemill_server.gateway.own_names import OwnNames
from tidemill_server.gateway.problem import Failed
from tidemill_server.handlers.fetched_datasets import FetchedDatasets
from tidemill_server.rpc.call import peer_of
from tidemill_server.rpc.methods import Method
from tidemill_server.rpc.pipeline import Pipeline
from tidemill_server.rpc.status import OK

M = TypeVar("M", bound=Message)
_MOST_DIGITS = 9

NOTICES: Mapping[str, str] = {
    "acknowledged": "The alert is yours now.",
    "approved": "The version is approved.",
    "canceled": "The run will stop.",
    "ended_before": "Nothing changed: it had ended, or was asked to stop, before.",
    "corrected": "Thank you. The verdict is stored, and trains the next version.",
    "key_revoked": "The key is revoked.",
    "pair_stored": "The pair is stored: it waits for people on this page.",
    "not_paused": "Releases were not paused: nothing changed.",
    "paused": "Releases are paused: the task is not retrained.",
    "promoted": "The version is champion now.",
    "rejected": "The version is rejected: it answers no one.",
    "resolved": "The verdict is reviewed.",
    "resumed": "Releases go on.",
    "rolled_back": "The previous champion answers again.",
    "silenced": "New alerts are held back until then.",
    "silence_ended": "The silence has ended.",
    "started": "The run is queued.",
    "traffic_set": "The traffic is set.",
}
"""What a page says after an action, by the key in its URL: a link can show no text of its own."""


@dataclass(frozen=True)
class Console:
    """What all pages share.

    Attributes:
        pipeline: serves the pages' questions, under the same rules as every call.
        methods: the methods, by path.
        own_names: the names of this server.
        sessions: the browsers' sessions.
        settings: the workspace's settings.
        datasets: brings the files of dataset versions here.
        templates: the pages' templates.
        clock: returns the time.
    """

    pipeline: Pipeline
    methods: Mapping[str, Method]
    own_names: OwnNames
    sessions: Sessions
    settings: Settings
    datasets: FetchedDatasets
    templates: Environment
    clock: Clock

    async def ask(self, request: Request, session: Session, path: str, message: Message) -> bytes:
        """Return the encoded answer of a method.

        Raises:
            Failed: the call failed.
        """
        method = self.methods[f"/tidemill.v1.{path}"]
        client = request.client
        peer = peer_of(None if client is None else (client.host, client.port))
        call = PageCall(message, session.metadata, peer)
        # The pipeline ends a call by cancelling its task, so each call has its own.
        status = await asyncio.create_task(self.pipeline.serve(method, call))
        if status.code != OK.code:
            raise Failed(status)
        return call.answer


@dataclass(frozen=True)
class Visit:
    """One request of a browser.

    Attributes:
        console: what all pages share.
        request: the request.
        session: the browser's session.
        caller: who asks.
        form: the fields of a form; empty for a page.
    """

    console: Console
    request: Request
    session: Session
    caller: Caller
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def task(self) -> str:
        """The task in the page's address; empty if the page is about no task."""
        return str(self.request.path_params.get("task", ""))

    @property
    def page(self) -> str:
        """The page's name in its address; empty if the page is about no task."""
        rest = self.request.url.path.partition(f"/t/{self.task}/")[2]
        return rest.partition("/")[0] if self.task else ""

    @property
    def tasks(self) -> Mapping[str, TaskSettings]:
        """The tasks that the caller may see."""
        allowed = self.caller.tasks
        every = self.console.settings.tasks
        return {name: each for name, each in every.items() if not allowed or name in allowed}

    def may(self, scope: str) -> bool:
        """Return whether the caller has a scope: it decides what a page offers, not what it may."""
        return Scope(scope) in self.caller.scopes

    @property
    def places(self) -> list[Place]:
        """The pages that the caller may open."""
        return places(self.caller, self.task or next(iter(self.tasks), ""), self.request.url.path)

    async def ask(self, message: Message, answer: type[M]) -> M:
        """Return the answer of a service to the caller.

        Args:
            message: the request.
            answer: the type of the response, which names the method: each has its own.

        Raises:
            Failed: the call failed.
        """
        described = answer.DESCRIPTOR
        (service,) = described.file.services_by_name
        path = f"{service}/{described.name.removesuffix('Response')}"
        return answer.FromString(await self.console.ask(self.request, self.session, path, message))

    def number(self, name: str) -> int:
        """Return a field of the form, or of the page's address, that is a number; 0 if empty.

        Raises:
            InvalidArgument: it is not one.
        """
        value = self.form.get(name) or self.request.query_params.get(name) or "0"
        digits = str(self.request.path_params.get(name, value)).strip()
        if not (digits.isdecimal() and len(digits) <= _MOST_DIGITS):
            rule = f"must be a whole number with at most {_MOST_DIGITS} digits"
            raise InvalidArgument("NOT_A_NUMBER", name, rule)
        return int(digits)

    @property
    def annotator(self) -> str:
        """The name under which the person acts: the key's, or the one they chose."""
        is_proven = self.caller.authentication is not Authentication.NONE
        return self.caller.name if is_proven else self.session.annotator or "console"

    @property
    def here(self) -> str:
        """The address of the task's page: forms lead back to it."""
        return task_path(self.task, self.page)

    def show(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page."""
        return HTMLResponse(self.html(template, **values), status)

    def html(self, template: str, **values: Any) -> str:
        """Return a page, or a part of one, as HTML."""
        notice = NOTICES.get(self.request.query_params.get("done", ""), "")
        page = self.console.templates.get_template(template)
        return page.render(visit=self, csrf=self.csrf, notice=notice, **values)

    @property
    def csrf(self) -> str:
        """What the page's forms send back."""
        return self.console.sessions.csrf_token(self.session)

    def go(self, path: str, done: str = "") -> Response:
        """Return a redirect to a page, which says what was done."""
        return RedirectResponse(path + (f"?done={done}" if done else ""), 303)
