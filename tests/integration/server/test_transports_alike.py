"""The same bytes to both transports: callers notice no difference."""

from collections.abc import Callable

from tests.integration.server.front import Front
from tests.integration.server.fuzzing.differential import COMPARED, compare
from tests.integration.server.fuzzing.faults import FAULTS
from tests.integration.server.fuzzing.fuzzer import dictionary_of

CASES, SEED = 640, 3


def test_both_transports_answer_the_same_bytes_alike(fronts: Callable[[str], Front]) -> None:
    """Well-formed calls get the same status and answers, and others are refused by both."""
    first, second = fronts("grpcio"), fronts("h2corn")
    found = compare((first.address, second.address), dictionary_of(first), CASES, SEED)
    assert found.problems == []
    assert found.cases >= CASES
    assert found.accepted > CASES / 8
    assert {fault for fault, _, _ in found.manners} == {"", *FAULTS}
    assert len(COMPARED) > 20
    for front in (first, second):
        assert front.process.poll() is None
        assert "unexpected_error" not in front.log()
        assert "Traceback" not in front.log()
