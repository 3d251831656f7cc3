"""Conversion of the versions that answer."""

from tidemill.v1 import model_service_pb2 as pb
from tidemill_core.domain.model import Deployment
from tidemill_server.convert import message


def deployment(value: Deployment) -> pb.Deployment:
    """Convert a deployment."""
    return message(pb.Deployment, value, canaries=_shares(value))


def served_task(task: str, value: Deployment | None) -> pb.ServedTask:
    """Convert a task and its deployment; without one, no version can answer."""
    if value is None:
        return pb.ServedTask(task=task)
    return message(pb.ServedTask, value, canaries=_shares(value))


def _shares(value: Deployment) -> list[pb.TrafficShare]:
    return [
        pb.TrafficShare(model_version=version, percent=percent)
        for version, percent in sorted(value.canaries.items())
    ]
