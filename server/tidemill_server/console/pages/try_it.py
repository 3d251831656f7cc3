"""Try it: a text, its label, and what would have been right."""

from starlette.responses import Response

from tidemill.v1 import feedback_service_pb2 as feedback_pb
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_server.console.routes import get, post, problem
from tidemill_server.console.visit import Visit
from tidemill_server.gateway.problem import Failed

_ALL_LABELS = 10_000
"""As many scores as a version has labels: they are the labels that can be right."""


async def show(visit: Visit) -> Response:
    """Show the form."""
    return visit.show("try_it.html", answer=None, error="")


async def predict(visit: Visit) -> Response:
    """Show the answer to a text, or what is wrong with it."""
    request = pb.PredictRequest(
        task=visit.task,
        text=visit.form.get("text", ""),
        response=visit.form.get("response", ""),
        top_k=_ALL_LABELS,
        model_version=visit.number("model_version"),
        attributes={"source": "console"},
    )
    try:
        answer = await visit.ask(request, pb.PredictResponse)
    except Failed as failed:
        why = problem(failed)
        # htmx shows no answer of a status from 500 on.
        status = 200 if "hx-request" in visit.request.headers else why.status
        return visit.show("try_it.html", status, answer=None, error=why.detail)
    return visit.show("try_it.html", answer=answer.prediction, error="")


async def judge(visit: Visit) -> Response:
    """Store what was right."""
    label = visit.form.get("label", "")
    verdict = {"label": label} if label else {"correct": True}
    request = feedback_pb.SubmitFeedbackRequest(
        prediction_id=visit.form.get("prediction_id", ""),
        source=visit.caller.name,
        comment=visit.form.get("comment", ""),
        **verdict,
    )
    await visit.ask(request, feedback_pb.SubmitFeedbackResponse)
    return visit.go(visit.here, "corrected")


ROUTES = (
    get("/t/{task}/try", show),
    post("/t/{task}/try", predict),
    post("/t/{task}/try/judge", judge),
)
