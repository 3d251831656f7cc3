"""`tidemill datasets list`, and the console's page of the same versions."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.integration.server.asking_http import http
from tests.integration.server.front import NOW, Front, Workspace
from tests.integration.server.test_catalogues import dataset
from tests.plugins.triton import RunningTriton
from tidemill_cli.main import run


def test_a_version_that_is_built_again_was_built_when_it_was_first(
    tmp_path: Path, triton: RunningTriton, capsys: pytest.CaptureFixture[str]
) -> None:
    """The time of the build is shown, not that of the last build that found the same rows."""
    workspace = Workspace(tmp_path, {"support": 1})
    first = dataset(1, card=1)
    for later in (timedelta(0), timedelta(days=3)):
        workspace.storage.datasets.add(replace(first, build_time=NOW + later))
    with Front(workspace, triton.grpc_address) as front:
        assert run(["datasets", "list", "--address", front.address]) == 0
        with http(front) as client:
            page = client.get("/console/t/support/data").text
    assert f"{NOW:%Y-%m-%d %H:%M:%S}" in capsys.readouterr().out
    assert f'datetime="{NOW.isoformat()}"' in page
