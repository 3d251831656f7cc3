"""Exits 0 if the server in this container says that it serves: the image's health check.

It goes where the `tidemill` command goes: to the workspace's own port, over TLS where that is set
up, with the certificate in TIDEMILL_CLIENT_CERTIFICATE and TIDEMILL_CLIENT_KEY where the server
asks clients for one.
"""

import sys

import grpc
from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]

from tidemill_cli.connection import new_client
from tidemill_cli.target import caller_settings, target_of
from tidemill_core.settings import load_settings

_TIMEOUT_SECONDS = 5


def main() -> None:
    """Ask the standard health service for the whole server's state."""
    if load_settings().tls.client_ca and not caller_settings().client_certificate:
        sys.exit("tls.client_ca: the check needs TIDEMILL_CLIENT_CERTIFICATE and _KEY as well")
    with new_client(target_of("")) as client:
        try:
            request = health_pb2.HealthCheckRequest()
            answer = client.health.Check(request, timeout=_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            sys.exit(f"no answer: {error.code().name}")
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        sys.exit(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


if __name__ == "__main__":
    main()
