"""Rollouts, watched until they end."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidemill_core.domain.job import JobRunState
from tidemill_core.domain.rollout import ROLLOUT, Rollout
from tidemill_core.errors import NotFound
from tidemill_core.settings.rollout import RolloutSettings
from tidemill_core.storage.jobs import JobStore
from tidemill_core.storage.models import ModelStore
from tidemill_core.storage.rollouts import RolloutStore
from tidemill_server.handlers.threads import in_thread
from tidemill_server.inference.router import Router

WATCH_SECONDS = 1.0
_NO_FIGURES = ("decision", "reason", "model_version", "percent", "state")


@dataclass(frozen=True)
class RolloutProgress:
    """How far a rollout is.

    Attributes:
        rollout: the rollout.
        percent: percent of the callers that get its version's answers; 0 as shadow.
        steps: the percents of its steps, ascending.
        reason: what the last check found or, at the end, why it ended.
        figures: those of the last check.
    """

    rollout: Rollout
    percent: int
    steps: Sequence[int]
    reason: str
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class RolloutHandler:
    """Shows rollouts; the job `rollout` does them."""

    rollouts: RolloutStore
    models: ModelStore
    jobs: JobStore
    router: Router

    async def watch(self, task: str, model_version: int) -> AsyncIterator[RolloutProgress]:
        """Yield a version's rollout immediately and after each change, until it ends.

        Raises:
            InvalidArgument: the task does not exist.
            NotFound: the version has no rollout.
        """
        seen = None
        while seen is None or not seen.rollout.state.ended:
            found = await self.get(task, model_version)
            if found != seen:
                yield found
                seen = found
            if not found.rollout.state.ended:
                await asyncio.sleep(WATCH_SECONDS)

    @in_thread
    def get(self, task: str, model_version: int) -> RolloutProgress:
        """Return how far a version's newest rollout is, or raise NotFound."""
        settings = self.router.task_settings(task).rollout or RolloutSettings()
        found = [each for each in self.rollouts.of_task(task) if each.version == model_version]
        if not found:
            raise NotFound("rollout", f"{task} {model_version}")
        checked = self._last_check(found[0])
        return RolloutProgress(
            rollout=found[0],
            percent=self._percent(found[0]),
            steps=settings.steps,
            reason=found[0].reason if found[0].state.ended else checked.get("reason", "starting"),
            figures={name: each for name, each in checked.items() if name not in _NO_FIGURES},
        )

    def _percent(self, rollout: Rollout) -> int:
        deployment = self.models.deployment(rollout.task)
        if deployment is None:
            return 0
        champion = deployment.champion == rollout.version
        return 100 if champion else deployment.canaries.get(rollout.version, 0)

    def _last_check(self, rollout: Rollout) -> Mapping[str, Any]:
        run = self.jobs.latest(ROLLOUT, rollout.task, [JobRunState.SUCCEEDED])
        is_of_it = run is not None and run.result.get("model_version") == rollout.version
        return run.result if run is not None and is_of_it else {}
