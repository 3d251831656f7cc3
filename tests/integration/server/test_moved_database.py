"""A front whose SQLite file is moved away and comes back."""

from pathlib import Path

from tests.integration.server.front import Front, Workspace
from tests.integration.server.refusal import refusal, words
from tests.plugins.triton import RunningTriton
from tests.plugins.waiting import wait_until
from tidemill.v1 import feedback_service_pb2
from tidemill.v1 import prediction_service_pb2 as pb


def test_what_is_acknowledged_meanwhile_is_stored_later(
    tmp_path: Path, triton: RunningTriton
) -> None:
    """Predictions go on and are stored once the file is back; feedback is refused meanwhile."""
    workspace = Workspace(tmp_path, {"support": 1})
    asked = pb.PredictRequest(task="support", text="lost my card")
    with Front(workspace, triton.grpc_address) as front:

        def predict() -> str:
            return front.predictions.Predict(asked, timeout=30).prediction.prediction_id

        ids = {predict()}
        wait_until(lambda: workspace.stored_ids() == ids, "the first is stored")
        away = workspace.database.rename(tmp_path / "away.db")
        ids |= {predict() for _ in range(5)}
        verdict = feedback_service_pb2.SubmitFeedbackRequest(prediction_id=min(ids), correct=True)
        refused = refusal(lambda: front.feedback.SubmitFeedback(verdict, timeout=30))
        assert words(refused) == ("UNAVAILABLE", "STORAGE_UNAVAILABLE", "")
        wait_until(lambda: "is missing: move it back" in front.log(), "the log says what to do")
        assert not workspace.database.exists()
        away.rename(workspace.database)
        wait_until(lambda: workspace.stored_ids() == ids, "all are stored")
        front.feedback.SubmitFeedback(verdict, timeout=30)
