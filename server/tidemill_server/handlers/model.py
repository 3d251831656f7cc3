"""Model versions, and the rules for changing which of them answer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tidemill_core.clock import Clock
from tidemill_core.domain.gate import GateResult
from tidemill_core.domain.model import Deployment, ModelState, ModelVersion, model_name
from tidemill_core.domain.pause import ReleasePause
from tidemill_core.domain.traffic import Traffic
from tidemill_core.errors import FailedPrecondition, InvalidArgument, VersionNotLoaded
from tidemill_core.storage.database import Page
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.models import ModelStore
from tidemill_core.storage.pauses import PauseStore
from tidemill_core.storage.tracked_runs import TrackedRunStore
from tidemill_server.handlers.fields import (
    MAX_COMMENT_LENGTH,
    MAX_KEY_LENGTH,
    check_visible,
    check_words,
)
from tidemill_server.handlers.task_page import of_task
from tidemill_server.handlers.threads import in_thread
from tidemill_server.inference.router import Router
from tidemill_server.security.acting import acting_name

UNLOAD_SECONDS = 3.0
"""Time after which an unload that began before a version was recalled has ended."""
_POLL_SECONDS = 0.1

IsLoaded = Callable[[str, int], Awaitable[bool]]

_duplicate = partial(InvalidArgument, "DUPLICATE_VERSION")
_invalid_percent = partial(InvalidArgument, "INVALID_PERCENT")


@dataclass(frozen=True)
class NewChange:
    """A submitted change of a task's traffic.

    Attributes:
        task: the task.
        actor: who asks; used only if the caller is not authenticated.
        comment: why.
        request_id: a repeated id returns the first answer again; may be empty.
    """

    task: str
    actor: str
    comment: str
    request_id: str


@dataclass(frozen=True)
class ModelHandler:
    """Shows model versions and changes which of them answer.

    The methods that change something raise InvalidArgument for a wrong request, and
    FailedPrecondition if the state of the versions does not allow the change.
    """

    store: ModelStore
    router: Router
    clock: Clock
    is_loaded: IsLoaded
    """Returns whether each Triton that can be reached serves a version of a model."""
    pauses: PauseStore
    tracked_runs: TrackedRunStore
    load_seconds: float = 20.0
    """How long a promotion waits for Triton to load the version; less than the CLI waits."""

    def tasks(self) -> dict[str, Deployment | None]:
        """Return the deployment of each task, by name; None if no version can answer."""
        return {task: self._deployment(task) for task in sorted(self.router.tasks)}

    def _deployment(self, task: str) -> Deployment | None:
        try:
            return self.router.routes(task).deployment
        except FailedPrecondition:
            return None

    @in_thread
    def list_versions(self, task: str, page: Page) -> tuple[list[ModelVersion], str]:
        """Return a page of a task's versions, newest first, and the next page's token."""
        found = self.store.page(task, page)
        return of_task(self.router, task, found, partial(self.store.page, task))

    @in_thread
    def get(
        self, task: str, model_version: int
    ) -> tuple[ModelVersion, list[GateResult], dict[str, str]]:
        """Return one version, what the gates found, and where its training can be seen.

        The version 0 is the champion.

        Raises:
            InvalidArgument: the task does not exist.
            NotFound: the task has no such version.
            FailedPrecondition: the task has no champion.
        """
        self.router.task_settings(task)
        version = model_version or self.router.routes(task).deployment.champion
        gates = self.store.gate_results(task, version)
        return self.store.get(task, version), gates, self.tracked_runs.links(task, version)

    async def promote(self, change: NewChange, model_version: int) -> Deployment:
        """Make a version the champion once Triton has loaded it.

        A version that was rolled back or skipped is loaded again first.

        Raises:
            NotFound: the version does not exist.
            VersionNotLoaded: Triton did not load it within `load_seconds`.
        """
        checked, store = self._checked(change), self.store
        before = await asyncio.to_thread(store.recall, change.task, model_version, checked)
        if before is not None:
            await self._wait_loaded(before)
        return await asyncio.to_thread(store.promote, change.task, model_version, checked)

    async def approve(self, change: NewChange, model_version: int) -> ModelVersion:
        """Approve a version that waits for a person, and make it the champion or start its rollout.

        Raises:
            NotFound: the version does not exist.
            VersionNotLoaded: it is approved, but Triton did not load it within `load_seconds`.
        """
        checked, task = self._checked(change), change.task
        watched = self.router.task_settings(task).rollout is not None
        approve, deployment = self.store.approve, self.store.deployment
        approved = await asyncio.to_thread(approve, task, model_version, checked, watched)
        first = await asyncio.to_thread(deployment, task) is None
        if approved.state is ModelState.VALIDATED and (first or not watched):
            await self.promote(change, model_version)
        return await asyncio.to_thread(self.store.get, task, model_version)

    @in_thread
    def reject(self, change: NewChange, model_version: int) -> ModelVersion:
        """Reject a version that waits for a person; the comment must say why.

        Raises:
            InvalidArgument: names the field and the rule.
            IllegalTransition: it does not wait for a person, and no one has rejected it.
            NotFound: the version does not exist.
        """
        checked = self._checked(change)
        check_visible("comment", change.comment, MAX_COMMENT_LENGTH)
        return self.store.reject(change.task, model_version, checked)

    @in_thread
    def pause(self, change: NewChange) -> None:
        """Pause a task's releases."""
        asked = self._checked(change)
        self.pauses.pause(ReleasePause(change.task, asked.actor, asked.comment, asked.time))

    @in_thread
    def resume(self, change: NewChange) -> bool:
        """Resume a task's releases, and return whether they were paused."""
        self._checked(change)
        return self.pauses.resume(change.task)

    async def _wait_loaded(self, before: ModelVersion) -> None:
        name = model_name(before.task, before.model_format)
        try:
            async with asyncio.timeout(self.load_seconds):
                if before.state is ModelState.ROLLED_BACK:
                    await asyncio.sleep(UNLOAD_SECONDS)
                while not await self.is_loaded(name, before.version):
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            advice = (
                "it may still be loading, so promote it again; if that fails too, "
                "the log of the jobs process says why"
            )
            raise VersionNotLoaded(before.task, before.version, advice) from error

    @in_thread
    def rollback(self, change: NewChange) -> Deployment:
        """Make the previous champion answer again."""
        return self.store.rollback(change.task, self._checked(change))

    @in_thread
    def set_traffic(
        self, change: NewChange, canaries: Sequence[tuple[int, int]], shadows: Sequence[int]
    ) -> Deployment:
        """Set the canaries and shadows.

        Args:
            change: who asks, and why.
            canaries: versions, each with the percentage of the traffic that it answers.
            shadows: versions that get a copy of the traffic.
        """
        checked = self._checked(change)
        return self.store.set_traffic(change.task, _traffic(canaries, shadows), checked)

    @in_thread
    def list_deployments(self, task: str, page: Page) -> tuple[list[Deployment], str]:
        """Return a page of traffic changes, newest first, and the next page's token."""
        found = self.store.deployments_page(task, page)
        return of_task(self.router, task, found, partial(self.store.deployments_page, task))

    def _checked(self, change: NewChange) -> Change:
        self.router.task_settings(change.task)
        check_words("actor", change.actor, MAX_KEY_LENGTH)
        check_words("comment", change.comment, MAX_COMMENT_LENGTH)
        check_words("request_id", change.request_id, MAX_KEY_LENGTH)
        actor = acting_name(change.actor)
        return Change(actor, change.comment, change.request_id, self.clock())


def _traffic(canaries: Sequence[tuple[int, int]], shadows: Sequence[int]) -> Traffic:
    shares = dict(canaries)
    if len(shares) < len(canaries):
        raise _duplicate("canaries", "names a version twice")
    for index, (_, percent) in enumerate(canaries):
        if not 1 <= percent <= 99:
            rule = f"{percent} is not a percentage from 1 to 99"
            raise _invalid_percent(f"canaries[{index}].percent", rule)
    if sum(shares.values()) > 99:
        raise _invalid_percent("canaries", "add up to 100 % or more")
    distinct = tuple(dict.fromkeys(shadows))
    if shares.keys() & set(distinct):
        raise _duplicate("shadows", "names a version that is a canary")
    return Traffic(shares, distinct)
