"""Pairs of answers side by side: a person chooses the better one.

As on the page of labels, a choice is held until the next one, so that undo can bring its pair back.
"""

from dataclasses import dataclass
from hashlib import sha256

from starlette.responses import Response

from tidemill.v1 import feedback_service_pb2 as pb
from tidemill_server.console.visit import Visit

_PAGE = 100
Pair = tuple[str, str, str]
"""A prompt and two answers."""


@dataclass(frozen=True)
class Choice:
    """A choice; empty if none is made.

    Attributes:
        prompt: the prompt.
        left: the answer that was on the left.
        right: the other answer.
        better: `left` or `right`.
        reason: why; may be empty.
    """

    prompt: str = ""
    left: str = ""
    right: str = ""
    better: str = ""
    reason: str = ""

    @property
    def pair(self) -> Pair:
        """The pair, as it was shown."""
        return self.prompt, self.left, self.right


async def show(visit: Visit) -> Response:
    """Show a pair that others judged and this person did not, and a form for a new one."""
    return await _page(visit, Choice())


async def give(visit: Visit) -> Response:
    """Hold a choice, store the one before it, and show the next pair."""
    await _submit(visit, _choice(visit, "held_"))
    return await _page(visit, _choice(visit))


async def undo(visit: Visit) -> Response:
    """Show the pair of the held choice again, and forget the choice."""
    return await _page(visit, Choice(), _choice(visit, "held_").pair)


async def store(visit: Visit) -> Response:
    """Store the choice that the page holds."""
    await _submit(visit, _choice(visit, "held_"))
    return visit.show("_held_pair.html", held=Choice())


async def own(visit: Visit) -> Response:
    """Store a choice between two answers that the person wrote."""
    await _submit(visit, _choice(visit))
    return visit.go(visit.here)


async def _page(visit: Visit, held: Choice, first: Pair | None = None) -> Response:
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
    waiting = [
        pair
        for pair, voters in votes.items()
        if visit.annotator not in voters and pair not in (held.pair, first)
    ]
    if first is not None:
        waiting.insert(0, first)
    return visit.show(
        "pairs.html",
        pair=waiting[0] if waiting else None,
        waiting=len(waiting),
        judged=len(votes),
        held=held,
    )


def _choice(visit: Visit, prefix: str = "") -> Choice:
    names = ("prompt", "left", "right", "better", "reason")
    return Choice(*(visit.form.get(f"{prefix}{name}", "") for name in names))


async def _submit(visit: Visit, choice: Choice) -> None:
    if not choice.better:
        return
    is_left = choice.better == "left"
    request = pb.SubmitPreferenceRequest(
        task=visit.task,
        prompt=choice.prompt,
        chosen=choice.left if is_left else choice.right,
        rejected=choice.right if is_left else choice.left,
        annotator=visit.annotator,
        reason=choice.reason,
    )
    await visit.ask("FeedbackService/SubmitPreference", request, pb.SubmitPreferenceResponse)


def _pair(judged: pb.Preference) -> Pair:
    """Return a pair in an order that does not say which answer was chosen."""
    answers = sorted(
        (judged.chosen, judged.rejected), key=lambda each: sha256(each.encode()).hexdigest()
    )
    return judged.prompt, answers[0], answers[1]
