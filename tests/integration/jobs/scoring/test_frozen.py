"""The answers of the first version, with which a replay compares later ones."""

import contextlib

from tests.integration.jobs.scoring.conftest import Bench
from tests.plugins.triton import RunningTriton, free_ports
from tests.plugins.waiting import wait_until
from tidemill_cli.replaying.frozen import frozen_labels
from tidemill_core.errors import TritonUnavailable


def test_the_stand_in_answers_while_triton_restarts(bench: Bench, triton: RunningTriton) -> None:
    """The first version's labels come from the stand-in of an embedded Triton that is away."""
    [nothing_there] = free_ports(1)
    settings = bench.context.settings.model_copy(update={"triton_grpc_port": nothing_there})
    settings.triton_stand_in_file.parent.mkdir(parents=True)
    settings.triton_stand_in_file.write_text(triton.grpc_address)

    def answered() -> bool:
        # The first call may come before the stand-in is connected.
        with contextlib.suppress(TritonUnavailable):
            return len(frozen_labels(settings, "support", ["a card", "another"])) == 2
        return False

    wait_until(answered, "the stand-in answers")
