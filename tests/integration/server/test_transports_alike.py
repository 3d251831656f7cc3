"""The same bytes to both transports: callers notice no difference."""

from pathlib import Path

from tests.integration.server.front import Front, Workspace
from tests.integration.server.fuzzing.differential import COMPARED, compare
from tests.integration.server.fuzzing.faults import FAULTS
from tests.integration.server.fuzzing.fuzzer import VERSIONS, dictionary_of
from tests.plugins.triton import RunningTriton

CASES, SEED = 320, 3


def test_both_transports_answer_the_same_bytes_alike(tmp_path: Path, triton: RunningTriton) -> None:
    """Well-formed calls get the same status and answers, and others are refused by both."""
    # No task of this workspace has canaries: a random prediction id would choose the version.
    workspace, address = Workspace(tmp_path, VERSIONS), triton.grpc_address
    with (
        Front(workspace, address, transport="grpcio") as first,
        Front(workspace, address, transport="h2corn") as second,
    ):
        found = compare((first.address, second.address), dictionary_of(first), CASES, SEED)
    assert found.problems == []
    assert found.cases >= CASES
    assert found.accepted > CASES / 8
    assert {fault for fault, _, _ in found.manners} == {"", *FAULTS}
    assert len(COMPARED) > 20
    for front in (first, second):
        assert front.process.returncode == 0
        assert "unexpected_error" not in front.log()
        assert "Traceback" not in front.log()
