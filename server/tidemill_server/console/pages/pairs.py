"""Pairs of answers side by side, of which a person chooses the better one."""

from hashlib import sha256

from starlette.responses import Response

from tidemill.v1 import feedback_service_pb2 as pb
from tidemill_server.console.visit import Visit

_PAGE = 100
Pair = tuple[str, str, str]
"""A prompt and two answers."""


async def show(visit: Visit) -> Response:
    """Show a pair that others judged and this person did not, and a form for a new one."""
    found: list[pb.Preference] = []
    if visit.may("admin"):
        request = pb.ListPreferencesRequest(task=visit.task, page_size=_PAGE)
        answer = await visit.ask(
            "FeedbackService/ListPreferences", request, pb.ListPreferencesResponse
        )
        found = list(answer.preferences)
    votes: dict[Pair, set[str]] = {}
    for each in found:
        votes.setdefault(_pair(each), set()).add(each.annotator)
    waiting = [pair for pair, voters in votes.items() if visit.annotator not in voters]
    return visit.show(
        "pairs.html", pair=waiting[0] if waiting else None, waiting=len(waiting), judged=len(votes)
    )


async def give(visit: Visit) -> Response:
    """Store which answer is better, and show the next pair."""
    form, better = visit.form, visit.form.get("better", "")
    chosen, rejected = ("left", "right") if better == "left" else ("right", "left")
    request = pb.SubmitPreferenceRequest(
        task=visit.task,
        prompt=form.get("prompt", ""),
        chosen=form.get(chosen, ""),
        rejected=form.get(rejected, ""),
        annotator=visit.annotator,
        reason=form.get("reason", ""),
    )
    await visit.ask("FeedbackService/SubmitPreference", request, pb.SubmitPreferenceResponse)
    return visit.go(visit.here)


def _pair(judged: pb.Preference) -> Pair:
    """Return a pair in an order that does not say which answer was chosen."""
    answers = sorted(
        (judged.chosen, judged.rejected), key=lambda each: sha256(each.encode()).hexdigest()
    )
    return judged.prompt, answers[0], answers[1]
