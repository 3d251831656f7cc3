"""Health over grpc.health.v1.

The empty service name is the front itself, which is SERVING from start to drain.
`tidemill.task.<task>` is SERVING only while the task's champion is loaded in Triton.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable

import structlog
from grpc_health.v1 import health_pb2 as pb

from tidemill_core.errors import FailedPrecondition, NotFound
from tidemill_core.triton.client import TritonClient
from tidemill_server.handlers.fields import MAX_KEY_LENGTH
from tidemill_server.inference.router import Router

CHECK_SECONDS = 0.5
_SERVING = pb.HealthCheckResponse.SERVING
_NOT_SERVING = pb.HealthCheckResponse.NOT_SERVING

log = structlog.get_logger()


def task_service(task: str) -> str:
    """Return the name under which a task's health is reported."""
    return f"tidemill.task.{task}"


class HealthServicer:
    """The health service, and the watch that keeps it up to date.

    The server is SERVING from the start, and a task NOT_SERVING until it is checked.
    """

    def __init__(self, router: Router, triton: TritonClient, tasks: Iterable[str]) -> None:
        self._router = router
        self._triton = triton
        self._tasks = {task_service(task): task for task in tasks}
        self._health = {"": _SERVING, **dict.fromkeys(self._tasks, _NOT_SERVING)}
        self._changed = asyncio.Event()  # a new one after each change
        self._draining = False

    async def Check(self, request: pb.HealthCheckRequest, _: object) -> pb.HealthCheckResponse:
        """Return the health of a service."""
        if request.service not in self._health:
            raise NotFound("service", request.service[:MAX_KEY_LENGTH])
        return pb.HealthCheckResponse(status=self._health[request.service])

    async def Watch(
        self, request: pb.HealthCheckRequest, _: object
    ) -> AsyncIterator[pb.HealthCheckResponse]:
        """Send the health of a service immediately and after each change."""
        last = None
        while True:
            unknown = pb.HealthCheckResponse.SERVICE_UNKNOWN
            now, changed = self._health.get(request.service, unknown), self._changed
            if now != last:
                yield pb.HealthCheckResponse(status=now)
                last = now
            await changed.wait()

    async def run(self) -> None:
        """Check every task's champion, forever."""
        while True:
            for service, task in self._tasks.items():
                self._set(service, await self._champion_serves(task))
            await asyncio.sleep(CHECK_SECONDS)

    def drain(self) -> None:
        """Report NOT_SERVING from now on."""
        for service in self._health:
            self._set(service, False)
        self._draining = True

    async def _champion_serves(self, task: str) -> bool:
        try:
            routes = self._router.routes(task)
        except FailedPrecondition:  # no model can answer
            return False
        champion = routes.models[routes.deployment.champion]
        return await self._triton.model_ready(champion.name, champion.version)

    def _set(self, service: str, serves: bool) -> None:
        health = _SERVING if serves else _NOT_SERVING
        if self._draining or self._health[service] == health:
            return
        log.info("health", service=service or "server", serving=serves)
        self._health[service] = health
        self._changed.set()
        self._changed = asyncio.Event()
