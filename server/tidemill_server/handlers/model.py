"""Model versions, and who answers: the rules of changing the traffic."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tidemill_core.clock import Clock
from tidemill_core.domain.model import Deployment, ModelState, ModelVersion, model_name
from tidemill_core.domain.traffic import Traffic
from tidemill_core.errors import InvalidArgument, VersionNotLoaded
from tidemill_core.storage.database import Page
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.models import ModelStore
from tidemill_server.handlers.fields import MAX_COMMENT_LENGTH, MAX_KEY_LENGTH, check_words
from tidemill_server.handlers.threads import in_thread
from tidemill_server.inference.router import Router
from tidemill_server.security.acting import acting_name

LOAD_SECONDS = 20.0
"""How long a promotion waits for Triton to load the version; less than the CLI waits for it."""
UNLOAD_SECONDS = 3.0
"""An unloading that began before a version was taken back has ended by then."""
_POLL_SECONDS = 0.1

IsLoaded = Callable[[str, int], Awaitable[bool]]


@dataclass(frozen=True)
class NewChange:
    """Who wants to change a task's traffic, and why, as submitted.

    Attributes:
        task: the task.
        actor: who asks; counts only where the caller is not authenticated.
        comment: why.
        request_id: the same id gets the first answer again; may be empty.
    """

    task: str
    actor: str
    comment: str
    request_id: str


class ModelHandler:
    """Shows model versions and decides who answers.

    The methods that change something raise InvalidArgument for what is wrong in the request, and
    FailedPrecondition where the state of the versions does not allow it.
    """

    def __init__(
        self, store: ModelStore, router: Router, clock: Clock, is_loaded: IsLoaded
    ) -> None:
        """Hold what the methods need.

        Args:
            store: the versions and deployments.
            router: knows the tasks.
            clock: the time.
            is_loaded: says whether Triton serves a version of a model.
        """
        self._store = store
        self._is_loaded = is_loaded
        self._router = router
        self._clock = clock

    @in_thread
    def list_versions(self, task: str, page: Page) -> tuple[list[ModelVersion], str]:
        """Return a page of a task's versions, newest first, and the next page's token."""
        return self._store.page(task, page)

    @in_thread
    def get(self, task: str, model_version: int) -> ModelVersion:
        """Return one version; 0 means the champion.

        Raises:
            InvalidArgument: there is no such task.
            NotFound: it has no such version.
            FailedPrecondition: it has no champion.
        """
        self._router.task_settings(task)
        version = model_version or self._router.routes(task).deployment.champion
        return self._store.get(task, version)

    async def promote(self, change: NewChange, model_version: int) -> Deployment:
        """Make a version the champion, once Triton has it loaded.

        One that was rolled back, or that newer versions passed over, is loaded again first.

        Raises:
            NotFound: there is no such version.
            VersionNotLoaded: Triton did not load it within LOAD_SECONDS.
        """
        checked, store = self._checked(change), self._store
        before = await asyncio.to_thread(store.recall, change.task, model_version, checked)
        if before is not None:
            await self._wait_loaded(before)
        return await asyncio.to_thread(store.promote, change.task, model_version, checked)

    async def _wait_loaded(self, before: ModelVersion) -> None:
        name = model_name(before.task, before.model_format)
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                if before.state is ModelState.ROLLED_BACK:
                    await asyncio.sleep(UNLOAD_SECONDS)
                while not await self._is_loaded(name, before.version):
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            advice = (
                "its load may still be under way, so promote it again; if that fails too, "
                "the log of the jobs process says why"
            )
            raise VersionNotLoaded(before.task, before.version, advice) from error

    @in_thread
    def rollback(self, change: NewChange) -> Deployment:
        """Let the champion before this one answer again."""
        return self._store.rollback(change.task, self._checked(change))

    @in_thread
    def set_traffic(
        self, change: NewChange, canaries: Sequence[tuple[int, int]], shadows: Sequence[int]
    ) -> Deployment:
        """Set the canaries and shadows.

        Args:
            change: who asks, and why.
            canaries: versions, each with the percentage of the traffic that it answers.
            shadows: versions that see a copy.
        """
        checked = self._checked(change)
        return self._store.set_traffic(change.task, _traffic(canaries, shadows), checked)

    @in_thread
    def list_deployments(self, task: str, page: Page) -> tuple[list[Deployment], str]:
        """Return a page of the changes of traffic, newest first, and the next page's token."""
        return self._store.deployments_page(task, page)

    def _checked(self, change: NewChange) -> Change:
        self._router.task_settings(change.task)
        check_words("actor", change.actor, MAX_KEY_LENGTH)
        check_words("comment", change.comment, MAX_COMMENT_LENGTH)
        check_words("request_id", change.request_id, MAX_KEY_LENGTH)
        actor = acting_name(change.actor)
        return Change(actor, change.comment, change.request_id, self._clock())


def _traffic(canaries: Sequence[tuple[int, int]], shadows: Sequence[int]) -> Traffic:
    shares = dict(canaries)
    if len(shares) < len(canaries):
        raise InvalidArgument("DUPLICATE_VERSION", "canaries", "names a version twice")
    for index, (_, percent) in enumerate(canaries):
        if not 1 <= percent <= 99:
            rule = f"{percent} is not a percentage from 1 to 99"
            raise InvalidArgument("INVALID_PERCENT", f"canaries[{index}].percent", rule)
    if sum(shares.values()) > 99:
        raise InvalidArgument("INVALID_PERCENT", "canaries", "together reach 100 % or more")
    distinct = tuple(dict.fromkeys(shadows))
    if shares.keys() & set(distinct):
        raise InvalidArgument("DUPLICATE_VERSION", "shadows", "names a version that is a canary")
    return Traffic(shares, distinct)
