"""Callers of the HTTP API."""

import ssl
from collections.abc import Mapping
from typing import Any, Literal

import httpx

from tests.integration.server.front import Front

Version = Literal["HTTP/1.1", "HTTP/2"]
VERSIONS: tuple[Version, ...] = ("HTTP/1.1", "HTTP/2")
TEXT = "lost my card"
PREDICT = "/v1/tasks/support:predict"
BODY = {"text": TEXT}
TRUSTING_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""In clear no one is trusted, and httpx would read all authorities for each client."""


def http(
    front: Front, version: Version = "HTTP/1.1", scheme: str = "http", **options: Any
) -> httpx.Client:
    """Return a client of a front that speaks one version of HTTP."""
    options.setdefault("verify", TRUSTING_NOBODY)
    return httpx.Client(
        base_url=f"{scheme}://127.0.0.1:{front.http_port}",
        http1=version == "HTTP/1.1",
        http2=version == "HTTP/2",
        timeout=30,
        trust_env=False,
        **options,
    )


def problem(response: httpx.Response) -> tuple[int, str, str, str]:
    """Return status, code, reason and field of a problem document, after checking its form."""
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    assert body["title"]
    assert body["detail"]
    return body["status"], body.get("code", ""), body.get("reason", ""), body.get("field", "")


def bearer(key: str) -> Mapping[str, str]:
    """Return the header with a credential."""
    return {"authorization": f"Bearer {key}"}
