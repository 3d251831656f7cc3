"""How the clients reach a server: credentials, the channel's options, and what is tried again."""

import ipaddress
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
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

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_TIMEOUT_SECONDS = 10.0
# Before a load balancer forgets an idle connection, which often takes a minute. A Tidemill server
# takes a ping every 20 s; other gRPC servers, left as they come, one every five minutes.
DEFAULT_KEEPALIVE_SECONDS = 30.0

MAX_MESSAGE_BYTES = 20 * 1024 * 1024
"""The server's own limit: room for 1,024 texts of 4,096 characters at four bytes each."""
_KEEPALIVE_TIMEOUT_SECONDS = 20.0
MAX_SECONDS = 2_000_000.0
"""The longest time to wait, 23 days: gRPC and timers take longer ones for times gone by."""
# A server that was restarted is found again within seconds; gRPC's own limit is two minutes.
_MAX_RECONNECT_BACKOFF_SECONDS = 2.0

MAX_ATTEMPTS = 5
FIRST_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 2.0
RETRIED_CODES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
# Reads; predictions, which change nothing that counts; and what people say, which the server knows
# again.
_REPEATABLE = (
    "Get",
    "List",
    "Diff",
    "Predict",
    "BatchPredict",
    "SubmitFeedback",
    "SubmitPreference",
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
        root_certificates: whom the server's certificate must come from; None takes the roots that
            gRPC ships.
        certificate: the client's own, for servers that ask for one; and those between it and
            its root.
        private_key: that certificate's key.
        server_name: the name that the server's certificate must bear; None takes the address's.
    """

    root_certificates: bytes | str | Path | None = None
    certificate: bytes | str | Path | None = None
    private_key: bytes | str | Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("a client's certificate and its private_key belong together")

    def __repr__(self) -> str:  # the key may be here itself
        return f"Tls(server_name={self.server_name!r})"

    def credentials(self) -> grpc.ChannelCredentials:
        """For a secure channel.

        Raises:
            OSError: a file cannot be read.
        """
        return grpc.ssl_channel_credentials(
            _pem(self.root_certificates), _pem(self.private_key), _pem(self.certificate)
        )


@dataclass(frozen=True)
class Connection:
    """What a channel is made of.

    Attributes:
        address: host:port of the server.
        credentials: None for a connection without TLS.
        options: the channel's.
        metadata: goes with every call.
    """

    address: str
    credentials: grpc.ChannelCredentials | None
    options: tuple[tuple[str, Any], ...]
    metadata: tuple[tuple[str, str], ...]


def connection(
    address: str,
    *,
    api_key: str | None,
    tls: bool | Tls,
    insecure: bool,
    keepalive_seconds: float,
) -> Connection:
    """Put together how a server is reached; nothing is connected yet.

    Raises:
        ValueError: the API key would travel in clear, or is none.
        OSError: a certificate's file cannot be read.
    """
    certificates = Tls() if tls is True else tls or None
    if api_key is not None:
        if not api_key.isascii() or not api_key.isprintable() or not api_key.strip():
            raise ValueError("api_key is empty, or has characters that no key has")
        if certificates is None and not insecure and not is_local(address):
            raise ValueError(
                f"the API key would travel to {address} in clear: use tls=True or tls=Tls(...), "
                "or insecure=True where something else protects the network"
            )
    options = channel_options(keepalive_seconds)
    if is_local(address):
        options = (*options, ("grpc.enable_http_proxy", 0))
    if certificates is not None and certificates.server_name is not None:
        options = (*options, ("grpc.ssl_target_name_override", certificates.server_name))
    return Connection(
        address=address,
        credentials=None if certificates is None else certificates.credentials(),
        options=options,
        metadata=() if api_key is None else (("authorization", f"Bearer {api_key}"),),
    )


def is_local(address: str) -> bool:
    """Whether an address can be this machine's only."""
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    target = address.rpartition("/")[2].removeprefix("ipv4:").removeprefix("ipv6:")
    host = target.rpartition(":")[0] or target
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def seconds(name: str, value: float) -> float:
    """Return a time to wait, at most `MAX_SECONDS`; infinity is a time like others.

    Raises:
        ValueError: it is negative, or not a number.
    """
    if not isinstance(value, (int, float)) or not value >= 0:  # NaN is not
        raise ValueError(f"{name} is {value!r}; it must be a number of seconds, 0 or more")
    return float(min(value, MAX_SECONDS))


def channel_options(keepalive_seconds: float) -> tuple[tuple[str, Any], ...]:
    """Options of a channel to a Tidemill server.

    Args:
        keepalive_seconds: a connection with calls under way is tested when nothing came for so
            long.
    """
    return (
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.initial_reconnect_backoff_ms", int(FIRST_BACKOFF_SECONDS * 1000)),
        ("grpc.max_reconnect_backoff_ms", int(_MAX_RECONNECT_BACKOFF_SECONDS * 1000)),
        ("grpc.keepalive_time_ms", int(seconds("keepalive_seconds", keepalive_seconds) * 1000)),
        ("grpc.http2.ping_timeout_ms", int(_KEEPALIVE_TIMEOUT_SECONDS * 1000)),
        ("grpc.http2.max_pings_without_data", 0),  # a stream that only listens pings as often
        ("grpc.primary_user_agent", f"tidemill-python/{version('tidemill')}"),
        ("grpc.enable_retries", 1),
        ("grpc.service_config", service_config()),
    )


@cache
def service_config() -> str:
    """Which methods gRPC sends again by itself, when, how often: its service config in JSON."""
    policy = {
        "maxAttempts": MAX_ATTEMPTS,
        "initialBackoff": f"{FIRST_BACKOFF_SECONDS}s",
        "maxBackoff": f"{MAX_BACKOFF_SECONDS}s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": [code.name for code in RETRIED_CODES],
    }
    # Half of the tokens used up stops retries: they must not keep a server overloaded.
    throttling = {"maxTokens": 100, "tokenRatio": 0.1}
    methods = {"name": list(_repeatable_methods()), "retryPolicy": policy}
    return json.dumps({"methodConfig": [methods], "retryThrottling": throttling})


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
