"""Health over grpc.health.v1.

The empty service name is the front itself, which is SERVING from start to drain.
`tidemill.task.<task>` is SERVING only while the task's champion is loaded in Triton.
"""

import asyncio
from collections.abc import Iterable

import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

from tidemill_core.errors import FailedPrecondition
from tidemill_core.triton.client import TritonClient
from tidemill_server.inference.router import Router

CHECK_SECONDS = 0.5
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

log = structlog.get_logger()


def task_service(task: str) -> str:
    """Return the name under which a task's health is reported."""
    return f"tidemill.task.{task}"


class HealthWatch:
    """The health service, and the watch that keeps it up to date."""

    def __init__(self, router: Router, triton: TritonClient, tasks: Iterable[str]) -> None:
        self.servicer = aio.HealthServicer()
        self._router = router
        self._triton = triton
        self._tasks = tuple(tasks)
        self._last: dict[str, bool] = {}

    async def open(self) -> None:
        """Report the server as SERVING and every task as NOT_SERVING until it is checked."""
        await self.servicer.set("", _SERVING)
        for task in self._tasks:
            await self.servicer.set(task_service(task), _NOT_SERVING)

    async def run(self) -> None:
        """Check every task's champion, forever."""
        while True:
            for task in self._tasks:
                await self._set(task, await self._champion_serves(task))
            await asyncio.sleep(CHECK_SECONDS)

    async def drain(self) -> None:
        """Report NOT_SERVING from now on."""
        await self.servicer.enter_graceful_shutdown()

    async def _champion_serves(self, task: str) -> bool:
        try:
            routes = self._router.routes(task)
        except FailedPrecondition:  # no model can answer
            return False
        champion = routes.models[routes.deployment.champion]
        return await self._triton.model_ready(champion.name, champion.version)

    async def _set(self, task: str, serving: bool) -> None:
        if self._last.get(task) == serving:
            return
        self._last[task] = serving
        log.info("task_health", task=task, serving=serving)
        await self.servicer.set(task_service(task), _SERVING if serving else _NOT_SERVING)
