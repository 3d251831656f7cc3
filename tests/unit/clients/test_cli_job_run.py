"""A run as the terminal shows it."""

import pytest

from tidemill.v1 import job_service_pb2 as pb
from tidemill_cli.job_run import print_run


def test_a_result_has_a_line_for_each_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The numbers of a list are on one line, those of counts with a plot; texts are below it."""
    run = pb.JobRun(run_id="r", job="score", task="support")
    run.result.update(
        {
            "confidence_counts": [0, 0, 1200, 2400],
            "errors": {"BLANK_TEXT": 2},
            "labels_added": ["card", "fee"],
            "steps": [5, 25.5],
            "worst": [{"origin": "a"}],
            "matrix": [[1, 2], [3, 4]],
            "nothing": [],
            "cost": 1.1e-16,
            "cost_low": None,
            "error": 0.02288227725,
            "rate": 1234567.5,
        }
    )
    print_run(run, as_json=False)
    shown = capsys.readouterr().out.partition("result")[2].splitlines()
    assert [" ".join(line.split()) for line in shown[1:]] == [
        "confidence_counts ▁▁▅█ 0, 0, 1200, 2400",
        "cost 0",
        "cost_low not known",
        "error 0.022882",
        "errors.BLANK_TEXT 2",
        "labels_added card",
        "fee",
        "matrix 2: --json shows them",
        "nothing none",
        "rate 1234567.5",
        "steps 5, 25.5",
        "worst 1: --json shows them",
    ]
