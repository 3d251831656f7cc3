"""The health of a server and of its tasks."""

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from tidemill_cli.listing import CALL_SECONDS
from tidemill_client import TidemillClient, TidemillError, translated_errors

UNKNOWN = "SERVICE_UNKNOWN"
"""The health of a task that the server does not know."""


def health_of(client: TidemillClient, service: str, timeout: float = CALL_SECONDS) -> str:
    """Return a service's health; that of a service that is not registered is SERVICE_UNKNOWN.

    Args:
        client: a connection to the server.
        service: empty for the server itself, or from `task_service`.
        timeout: seconds to wait for an answer.

    Raises:
        TidemillError: the server cannot be reached.
    """
    try:
        with translated_errors():
            request = HealthCheckRequest(service=service)
            answer = client.health.Check(request, timeout=timeout).status
    except TidemillError as error:
        if error.code is grpc.StatusCode.NOT_FOUND:
            return UNKNOWN
        raise
    return str(HealthCheckResponse.ServingStatus.Name(answer))


def task_service(task: str) -> str:
    """Return the service name of a task's health."""
    return f"tidemill.task.{task}"
