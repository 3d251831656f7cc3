"""Health as grpc.health.v1 tells it.

The empty service name is the front itself: SERVING from start to drain. `tidemill.task.<task>`
is SERVING only while the task's champion is loaded in Triton.
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
    """The service name of a task's health."""
    return f"tidemill.task.{task}"


class HealthWatch:
    """Keeps the health service's answers true."""

    def __init__(self, router: Router, triton: TritonClient, tasks: Iterable[str]) -> None:
        self.servicer = aio.HealthServicer()
        self._router = router
        self._triton = triton
        self._tasks = tuple(tasks)
        self._last: dict[str, bool] = {}

    async def open(self) -> None:
        """Answer for the server; tasks are not serving until it is known that they are."""
        await self.servicer.set("", _SERVING)
        for task in self._tasks:
            await self.servicer.set(task_service(task), _NOT_SERVING)

    async def run(self) -> None:
        """Check for ever."""
        while True:
            for task in self._tasks:
                await self._set(task, await self._champion_serves(task))
            await asyncio.sleep(CHECK_SECONDS)

    async def drain(self) -> None:
        """Say NOT_SERVING from now on."""
        await self.servicer.enter_graceful_shutdown()

    async def _champion_serves(self, task: str) -> bool:
        try:
            routes = self._router.routes(task)
        except FailedPrecondition:  # nobody answers
            return False
        champion = routes.models[routes.deployment.champion]
        return await self._triton.model_ready(champion.name, champion.version)

    async def _set(self, task: str, serving: bool) -> None:
        if self._last.get(task) == serving:
            return
        self._last[task] = serving
        log.info("task_health", task=task, serving=serving)
        await self.servicer.set(task_service(task), _SERVING if serving else _NOT_SERVING)
