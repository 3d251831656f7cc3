"""How clients reach a server: credentials, the channel's options, and retries."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from numbers import Real
from pathlib import Path
from typing import Any

import grpc

from tidemill.v1 import (
    dataset_service_pb2,
    feedback_service_pb2,
    job_service_pb2,
    labeling_service_pb2,
    model_service_pb2,
    monitoring_service_pb2,
    prediction_service_pb2,
)
from tidemill_client.addresses import is_list, is_local

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_TIMEOUT_SECONDS = 10.0
# Load balancers often drop idle connections after a minute. A Tidemill server accepts a ping every
# 20 s; other gRPC servers, by default, one every five minutes.
DEFAULT_KEEPALIVE_SECONDS = 30.0

MAX_MESSAGE_BYTES = 20 * 1024 * 1024
"""The server's own limit: room for 1,024 texts of 4,096 characters at four bytes each."""
_KEEPALIVE_TIMEOUT_SECONDS = 20.0
MAX_SECONDS = 2_000_000.0
"""The longest timeout, 23 days: gRPC and timers treat longer ones as already over."""
# A restarted server is found again within seconds; gRPC's default limit is two minutes.
_MAX_RECONNECT_BACKOFF_SECONDS = 2.0

MAX_ATTEMPTS = 5
FIRST_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 2.0
RETRIED_CODES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
# Reads; predictions, whose repetition does no harm; and verdicts, which the server recognizes.
_REPEATABLE = (
    "Get",
    "List",
    "Diff",
    "Predict",
    "BatchPredict",
    "SubmitFeedback",
    "SubmitPreference",
    "SubmitPreferencePair",
    "NextPreferencePairs",
    "SubmitLabel",
)
_SERVICE_MODULES: tuple[Any, ...] = (
    prediction_service_pb2,
    feedback_service_pb2,
    labeling_service_pb2,
    dataset_service_pb2,
    model_service_pb2,
    monitoring_service_pb2,
    job_service_pb2,
)


@dataclass(frozen=True)
class Tls:
    """Certificates, each as PEM or as the path of a PEM file.

    Attributes:
        root_certificates: the roots to trust; None for the roots that gRPC ships.
        certificate: the client's own certificate, for servers that ask for one, followed by those
            between it and its root.
        private_key: the key of that certificate.
        server_name: the name that the server's certificate must have; None for that of the
            address.
    """

    root_certificates: bytes | str | Path | None = None
    certificate: bytes | str | Path | None = None
    private_key: bytes | str | Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key must be given together")

    def __repr__(self) -> str:  # the key itself may be a value
        return f"Tls(server_name={self.server_name!r})"

    def credentials(self) -> grpc.ChannelCredentials:
        """Return the credentials of a secure channel.

        Raises:
            OSError: a file cannot be read.
        """
        return grpc.ssl_channel_credentials(
            _pem(self.root_certificates), _pem(self.private_key), _pem(self.certificate)
        )


@dataclass(frozen=True)
class Connection:
    """The parameters of a channel.

    Attributes:
        address: host:port of the server.
        credentials: None for a connection without TLS.
        options: the channel's options.
        metadata: sent with every call.
    """

    address: str
    credentials: grpc.ChannelCredentials | None
    options: tuple[tuple[str, Any], ...]
    metadata: tuple[tuple[str, str], ...]


def connection(
    address: str, api_key: str | None, tls: bool | Tls, insecure: bool, keepalive_seconds: float
) -> Connection:
    """Return how to reach a server, without connecting to it.

    Raises:
        ValueError: the API key would travel unencrypted, or is not a key.
        OSError: a certificate's file cannot be read.
    """
    certificates = Tls() if tls is True else tls or None
    if api_key is not None:
        if not api_key.isascii() or not api_key.isprintable() or not api_key.strip():
            raise ValueError("api_key is empty, or has characters that no key has")
        if certificates is None and not insecure and not is_local(address):
            raise ValueError(
                f"the API key would travel to {address} unencrypted: use tls=True or tls=Tls(...), "
                "or insecure=True if something else protects the network"
            )
    options = channel_options(keepalive_seconds, is_list(address))
    if is_local(address):
        options = (*options, ("grpc.enable_http_proxy", 0))
    if "," in address:  # gRPC would send the whole list as the name of the server
        first = address.partition(":")[2].partition(",")[0]
        options = (*options, ("grpc.default_authority", first))
    if certificates is not None and certificates.server_name is not None:
        options = (*options, ("grpc.ssl_target_name_override", certificates.server_name))
    return Connection(
        address=address,
        credentials=None if certificates is None else certificates.credentials(),
        options=options,
        metadata=() if api_key is None else (("authorization", f"Bearer {api_key}"),),
    )


def seconds(name: str, value: float) -> float:
    """Return a timeout; a longer one than `MAX_SECONDS`, such as infinity, counts as that.

    Raises:
        ValueError: it is negative, or not a number.
    """
    if not isinstance(value, int | float | Real) or not value >= 0:  # NaN is not
        shown = f"{value!r:.40} ({type(value).__name__})"
        raise ValueError(f"{name} is {shown}; it must be a number of seconds, 0 or more")
    return float(min(value, MAX_SECONDS))


def channel_options(
    keepalive_seconds: float, balanced: bool = False
) -> tuple[tuple[str, Any], ...]:
    """Return the options of a channel to a Tidemill server.

    Args:
        keepalive_seconds: seconds of silence after which a connection with open calls is tested.
        balanced: whether calls take turns among all servers of the address that are healthy.
    """
    return (
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.initial_reconnect_backoff_ms", int(FIRST_BACKOFF_SECONDS * 1000)),
        ("grpc.max_reconnect_backoff_ms", int(_MAX_RECONNECT_BACKOFF_SECONDS * 1000)),
        ("grpc.keepalive_time_ms", int(seconds("keepalive_seconds", keepalive_seconds) * 1000)),
        ("grpc.http2.ping_timeout_ms", int(_KEEPALIVE_TIMEOUT_SECONDS * 1000)),
        ("grpc.http2.max_pings_without_data", 0),  # a stream that only receives pings as often
        ("grpc.primary_user_agent", f"tidemill-python/{version('tidemill')}"),
        ("grpc.enable_retries", 1),
        ("grpc.service_config", service_config(balanced)),
    )


@cache
def service_config(balanced: bool = False) -> str:
    """Return gRPC's service config in JSON: which calls it retries, when and how often.

    If `balanced`, calls take turns among the servers that report SERVING (gRFC A17).
    """
    policy = {
        "maxAttempts": MAX_ATTEMPTS,
        "initialBackoff": f"{FIRST_BACKOFF_SECONDS}s",
        "maxBackoff": f"{MAX_BACKOFF_SECONDS}s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": [code.name for code in RETRIED_CODES],
    }
    # Retries stop when half of the tokens are used, so they do not keep a server overloaded.
    throttling = {"maxTokens": 100, "tokenRatio": 0.1}
    methods = {"name": list(_repeatable_methods()), "retryPolicy": policy}
    config: dict[str, Any] = {"methodConfig": [methods], "retryThrottling": throttling}
    if balanced:
        config["loadBalancingConfig"] = [{"round_robin": {}}]
        config["healthCheckConfig"] = {"serviceName": ""}
    return json.dumps(config)


def _repeatable_methods() -> Iterator[dict[str, str]]:
    for module in _SERVICE_MODULES:
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                is_unary = not (method.client_streaming or method.server_streaming)
                if is_unary and method.name.startswith(_REPEATABLE):
                    yield {"service": service.full_name, "method": method.name}


def _pem(source: bytes | str | Path | None) -> bytes | None:
    if source is None or isinstance(source, bytes):
        return source
    if isinstance(source, str) and source.lstrip().startswith("-----BEGIN"):
        return source.encode()
    return Path(source).read_bytes()
