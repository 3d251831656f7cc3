"""Alerts: what someone should look at, silences, and verdicts that wait for review."""

from datetime import timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from starlette.responses import Response

from tidemill.v1 import feedback_service_pb2 as feedback_pb
from tidemill.v1 import monitoring_service_pb2 as pb
from tidemill_core.domain.alert import ALERT_KINDS
from tidemill_server.console import questions
from tidemill_server.console.routes import get, post
from tidemill_server.console.visit import Visit

_PAGE = 50
_HELD = 30


async def show(visit: Visit) -> Response:
    """Show the open alerts, the silences, held verdicts, and earlier alerts."""
    request = pb.ListAlertsRequest(
        task=visit.task, page_size=_PAGE, page_token=visit.request.query_params.get("after", "")
    )
    found = await visit.ask(request, pb.ListAlertsResponse)
    silences: list[pb.Silence] = []
    if not visit.caller.tasks:  # a silence may be for all tasks, so only their callers see them
        every = await visit.ask(
            pb.ListSilencesRequest(active_only=True),
            pb.ListSilencesResponse,
        )
        silences = [each for each in every.silences if each.task in ("", visit.task)]
    return visit.show(
        "alerts.html",
        open_alerts=await questions.open_alerts(visit, visit.task),
        earlier=[each for each in found.alerts if each.HasField("resolve_time")],
        after=found.next_page_token,
        silences=silences,
        kinds=ALERT_KINDS,
        held=await _held(visit),
    )


async def _held(visit: Visit) -> list[feedback_pb.HeldFeedback]:
    request = feedback_pb.ListHeldFeedbackRequest(
        task=visit.task, state=feedback_pb.HOLD_STATE_HELD, page_size=_HELD
    )
    return list((await visit.ask(request, feedback_pb.ListHeldFeedbackResponse)).held)


async def resolve(visit: Visit) -> Response:
    """Release a held verdict, or drop it."""
    is_released = visit.form.get("decision") == "release"
    request = feedback_pb.ResolveHeldFeedbackRequest(
        task=visit.task,
        state=feedback_pb.HOLD_STATE_RELEASED if is_released else feedback_pb.HOLD_STATE_DROPPED,
        feedback_ids=[visit.form.get("feedback_id", "")],
        actor=visit.annotator,
    )
    await visit.ask(request, feedback_pb.ResolveHeldFeedbackResponse)
    return visit.go(visit.here, "resolved")


async def acknowledge(visit: Visit) -> Response:
    """Take care of an alert."""
    request = pb.AcknowledgeAlertRequest(
        alert_id=visit.form.get("alert_id", ""), actor=visit.annotator
    )
    await visit.ask(request, pb.AcknowledgeAlertResponse)
    return visit.go(visit.here, "acknowledged")


async def silence(visit: Visit) -> Response:
    """Hold new alerts back."""
    end = Timestamp()
    end.FromDatetime(visit.console.clock() + timedelta(hours=min(visit.number("hours"), 10_000)))
    request = pb.SilenceAlertsRequest(
        task=visit.task,
        kind=visit.form.get("kind", ""),
        end_time=end,
        reason=visit.form.get("reason", ""),
        actor=visit.annotator,
    )
    await visit.ask(request, pb.SilenceAlertsResponse)
    return visit.go(visit.here, "silenced")


async def end_silence(visit: Visit) -> Response:
    """End a silence."""
    request = pb.EndSilenceRequest(silence_id=visit.form.get("silence_id", ""))
    ended = await visit.ask(request, pb.EndSilenceResponse)
    return visit.go(visit.here, "silence_ended" if ended.was_active else "ended_before")


ROUTES = (
    get("/t/{task}/alerts", show),
    post("/t/{task}/alerts/acknowledge", acknowledge),
    post("/t/{task}/alerts/silence", silence),
    post("/t/{task}/alerts/resolve", resolve),
    post("/t/{task}/alerts/end-silence", end_silence),
)
