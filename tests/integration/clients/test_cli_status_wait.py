"""`tidemill status` with servers that fail for a while or stay wrong, or of an earlier release."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from tidemill_cli.main import run

IN_TROUBLE = 3


@dataclass
class Server(grpc.GenericRpcHandler):
    """A server that fails its first calls with a code; the others get an empty message.

    It does not have the method `lacks`.
    """

    code: grpc.StatusCode
    lacks: str = ""
    calls: list[str] = field(default_factory=list)

    def service(self, details: Any) -> Any:
        """Return a handler for any method."""
        self.calls.append(details.method)
        if self.lacks and details.method.endswith(f"/{self.lacks}"):
            return None
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, _request: bytes, context: Any) -> bytes:
        if len(self.calls) <= IN_TROUBLE:
            context.abort(self.code, "not now")
        return b""


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Server, str]]:
    """Yield the server of the test, or one with its code, and its address."""
    handler = request.param if isinstance(request.param, Server) else Server(request.param)
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


STAYING = [(grpc.StatusCode.PERMISSION_DENIED, 1), (grpc.StatusCode.UNAUTHENTICATED, 2)]


@pytest.mark.parametrize(("server", "code"), STAYING, indirect=["server"])
def test_waiting_ends_at_trouble_that_stays(
    server: tuple[Server, str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error that time does not fix ends the command immediately; a wrong key is wrong usage."""
    handler, address = server
    assert run(["status", "--wait", "30", "--address", address]) == code
    assert "not now" in capsys.readouterr().err
    assert len(handler.calls) == 1


EARLIER = Server(grpc.StatusCode.UNAVAILABLE, lacks="ListTasks", calls=[""] * IN_TROUBLE)


@pytest.mark.parametrize("server", [EARLIER], indirect=True)
def test_the_server_of_an_earlier_release_needs_no_list_of_tasks(
    server: tuple[Server, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Between an upgrade and the restart, `status` in the workspace shows the settings' tasks."""
    _, address = server
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tidemill.toml").write_text('[tasks.support]\nsources = [{ path = "a.csv" }]\n')
    monkeypatch.setenv("TIDEMILL_GRPC_PORT", address.rpartition(":")[2])
    assert run(["status"]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines()[2].split()[0] == "support"
    assert "UNIMPLEMENTED" not in printed.err
    assert run(["status", "--address", address]) == 1
    assert "UNIMPLEMENTED" in capsys.readouterr().err
