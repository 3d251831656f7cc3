"""Exits 0 if the server in this container says that it serves: the image's health check."""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from tidemill_core.settings import load_settings

_TIMEOUT_SECONDS = 5


def main() -> None:
    """Ask the standard health service for the whole server's state."""
    with grpc.insecure_channel(f"127.0.0.1:{load_settings().grpc_port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            sys.exit(f"no answer: {error.code().name}")
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        sys.exit(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


if __name__ == "__main__":
    main()
