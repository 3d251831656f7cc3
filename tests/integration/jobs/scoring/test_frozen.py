"""The answers of the first version, with which a replay compares later ones."""

from tests.integration.jobs.scoring.conftest import Bench
from tests.plugins.triton import RunningTriton, free_ports
from tidemill_cli.replaying.frozen import frozen_labels


def test_the_stand_in_answers_while_triton_restarts(bench: Bench, triton: RunningTriton) -> None:
    """The first version's labels come from the stand-in of an embedded Triton that is away."""
    [nothing_there] = free_ports(1)
    settings = bench.context.settings.model_copy(update={"triton_grpc_port": nothing_there})
    settings.triton_stand_in_file.parent.mkdir(parents=True)
    settings.triton_stand_in_file.write_text(triton.grpc_address)
    labels = frozen_labels(settings, "support", ["a card", "another"])
    assert len(labels) == 2
