"""A stack whose logs go to a full disk."""

import time
from pathlib import Path

from tests.integration.server.front import Workspace
from tests.plugins.stack import Stack
from tidemill_client import TidemillClient, Unavailable


def test_a_stack_whose_every_line_is_lost_goes_on(tmp_path: Path) -> None:
    """`tidemill up`, Triton, the jobs and a worker write to what is full, and all is served.

    A worker that is killed is started again, and the stack ends as it is asked to.
    """
    workspace = Workspace(tmp_path, {"support": 1})
    logs = workspace.spool.parent / "logs"
    logs.mkdir()
    for name in ("triton.log", "jobs.log", "server-1.log", "access.log"):
        (logs / name).symlink_to("/dev/full")
    stack = Stack(tmp_path)
    stack.output.symlink_to("/dev/full")
    stack.start()
    try:
        with stack.client() as client:
            until_answered(client)
            stack.member("tidemill_server.main").kill()
            until_answered(client)
    finally:
        assert stack.stop() == 0


def until_answered(client: TidemillClient) -> None:
    """Ask until there is an answer."""
    end = time.monotonic() + 60
    while True:
        try:
            assert client.predict("support", "my card is lost").label
        except Unavailable:
            assert time.monotonic() < end
        else:
            return
