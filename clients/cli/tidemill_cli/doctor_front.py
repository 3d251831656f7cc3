"""Whether a front that `tidemill up` did not start answers at the workspace's own address."""

from collections.abc import Iterable

import grpc

from tidemill_cli.connection import new_client
from tidemill_cli.failure import CommandFailed
from tidemill_cli.health import health_of, task_service
from tidemill_cli.target import target_of
from tidemill_client import TidemillError

_SECONDS = 2.0


def own_front(tasks: Iterable[str]) -> str:
    """Return the address of a running front that knows one of the tasks; empty if none answers."""
    try:
        target = target_of("")
        with new_client(target) as client:
            healths = [health_of(client, task_service(task), _SECONDS) for task in tasks]
    except (TidemillError, CommandFailed, grpc.RpcError):
        return ""
    return target.address if set(healths) - {"SERVICE_UNKNOWN"} else ""
