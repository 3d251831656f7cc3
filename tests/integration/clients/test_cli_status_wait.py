"""`tidemill status --wait` with a server that fails for a while."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from tidemill_cli.main import run

IN_TROUBLE = 3


@dataclass
class Server(grpc.GenericRpcHandler):
    """A server that fails its first calls with a code; the others get an empty message."""

    code: grpc.StatusCode
    calls: list[str] = field(default_factory=list)

    def service(self, details: Any) -> Any:
        """Return a handler for any method."""
        self.calls.append(details.method)
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, _request: bytes, context: Any) -> bytes:
        if len(self.calls) <= IN_TROUBLE:
            context.abort(self.code, "not now")
        return b""


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Server, str]]:
    """Yield a server with the code of the test, and its address."""
    handler = Server(request.param)
    made = grpc.server(ThreadPoolExecutor(2), handlers=[handler])
    port = made.add_insecure_port("127.0.0.1:0")
    made.start()
    yield handler, f"127.0.0.1:{port}"
    made.stop(None).wait()


PASSING = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED]


@pytest.mark.parametrize("server", PASSING, indirect=True)
def test_waiting_outlasts_trouble_that_passes(
    server: tuple[Server, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that cannot answer yet is asked again until it can."""
    handler, address = server
    assert run(["status", "--wait", "3", "--address", address]) == 1
    assert "no task to serve yet" in capsys.readouterr().err
    assert len(handler.calls) > IN_TROUBLE


@pytest.mark.parametrize("server", [grpc.StatusCode.PERMISSION_DENIED], indirect=True)
def test_waiting_ends_at_trouble_that_stays(
    server: tuple[Server, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """An error that time does not fix ends the command immediately."""
    handler, address = server
    assert run(["status", "--wait", "30", "--address", address]) == 1
    assert "not now" in capsys.readouterr().err
    assert len(handler.calls) == 1
