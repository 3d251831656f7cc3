"""The same bytes to both transports: callers notice no difference."""

from collections.abc import Iterator

import pytest

from tests.integration.server.front import Front, Workspace
from tests.integration.server.fuzzing.differential import COMPARED, compare
from tests.integration.server.fuzzing.faults import FAULTS
from tests.integration.server.fuzzing.fuzzer import dictionary_of
from tests.plugins.triton import RunningTriton

CASES, SEED = 640, 3


@pytest.fixture(scope="module")
def fronts(workspace: Workspace, triton: RunningTriton) -> Iterator[tuple[Front, Front]]:
    """Yield a front on each transport, over one workspace."""
    by_transport = [{"TIDEMILL_SERVER__TRANSPORT": name} for name in ("grpcio", "h2corn")]
    first, second = (
        Front(workspace, triton.grpc_address, environment=each) for each in by_transport
    )
    with first, second:
        yield first, second


def test_both_transports_answer_the_same_bytes_alike(fronts: tuple[Front, Front]) -> None:
    """Well-formed calls get the same status and answers, and others are refused by both."""
    first, second = fronts
    found = compare((first.address, second.address), dictionary_of(first), CASES, SEED)
    assert found.problems == []
    assert found.cases >= CASES
    assert found.accepted > CASES / 8
    assert {fault for fault, _, _ in found.manners} == {"", *FAULTS}
    assert len(COMPARED) > 20
    for front in fronts:
        assert front.process.poll() is None
        assert "unexpected_error" not in front.log()
        assert "Traceback" not in front.log()
