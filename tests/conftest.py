"""What every test may ask for."""

import asyncio
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Tests run beside each other, and more threads would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes says something about the machine, and nothing about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

pytest_plugins = ["tests.plugins.postgres", "tests.plugins.s3"]


class _EventLoop(asyncio.SelectorEventLoop):
    """An event loop that outlives the calls of another one.

    All loops of a process share grpc.aio's poller. It gives the last events of a call to the call's
    own loop, and fails in the loop that runs now if that one is closed.
    """

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Handle an exception of a callback, except for events that come too late for a test."""
        if str(context.get("exception")) != "Event loop is closed":
            super().call_exception_handler(context)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Asynchronous tests run on asyncio, each on a loop of its own."""
    return "asyncio", {"loop_factory": _EventLoop}
