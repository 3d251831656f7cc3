"""The health check of the server's image: exits with 0 if the server reports SERVING.

It connects as the `tidemill` command does: to the workspace's port, over TLS if the settings have
it, and with the certificate in TIDEMILL_CLIENT_CERTIFICATE and TIDEMILL_CLIENT_KEY if the server
requires one.
"""

import sys

import grpc
from grpc_health.v1 import health_pb2

from tidemill_cli.connection import new_client
from tidemill_cli.target import caller_settings, target_of
from tidemill_core.settings import load_settings

_TIMEOUT_SECONDS = 5


def main() -> None:
    """Exit with an error unless the standard health service reports SERVING."""
    if load_settings().tls.client_ca and not caller_settings().client_certificate:
        sys.exit("tls.client_ca: set TIDEMILL_CLIENT_CERTIFICATE and TIDEMILL_CLIENT_KEY too")
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
