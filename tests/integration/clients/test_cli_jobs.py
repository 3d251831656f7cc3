"""`tidemill jobs run` and its parameters, against the real front."""

import json

import pytest

from tests.integration.server.front import NOW, Front, Workspace
from tidemill_cli.main import run
from tidemill_core.domain.job import Job


def test_parameters_of_a_retraining(
    front: Front, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run has those that were given, and shows them again."""
    workspace.storage.jobs.set_catalog([Job("retrain", "Trains.", "")])
    given = "--network transformer --trials 5 --budget-seconds 60 --seed 0"
    place = ["--task", "support", "--address", front.address]
    assert run(["jobs", "run", "retrain", *given.split(), "--no-follow", "--json", *place]) == 0
    asked = json.loads(capsys.readouterr().out)
    assert asked["retrain"] == {
        "network": "transformer",
        "trials": 5,
        "budget_seconds": 60,
        "seed": 0,
        "place": "LOCAL",
    }
    assert run(["jobs", "show", asked["run_id"], "--address", front.address]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "network transformer trials 5 budget seconds 60 seed 0 place LOCAL" in shown
    workspace.storage.jobs.cancel(asked["run_id"], NOW)


def test_a_wrong_parameter_is_a_wrong_usage(
    front: Front, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """A network that does not exist ends the command at once, and the error names those that do."""
    workspace.storage.jobs.set_catalog([Job("retrain", "Trains.", "")])
    place = ["--task", "support", "--address", front.address]
    assert run(["jobs", "run", "retrain", "--network", "nope", *place]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "no network 'nope'; there are: ngram, transformer, sentence_encoder" in said
