"""Pairs of answers side by side: a person chooses the better one.

As on the page of labels, a choice is held until the next one, so that undo can bring its pair back.
"""

from dataclasses import dataclass

from starlette.responses import Response

from tidemill.v1 import feedback_service_pb2 as pb
from tidemill_server.console.visit import Visit

_MOST = 100
"""The most pairs that a page asks for: those skipped, the one held, and the one to show."""


@dataclass(frozen=True)
class PairChoice:
    """A choice; empty if none is made.

    Attributes:
        pair_id: the pair.
        prompt: the prompt.
        left: the answer that was on the left.
        right: the other answer.
        better: `left` or `right`.
        reason: why; may be empty.
    """

    pair_id: str = ""
    prompt: str = ""
    left: str = ""
    right: str = ""
    better: str = ""
    reason: str = ""


async def show(visit: Visit) -> Response:
    """Show a pair that this person has not judged, and a form for a new one."""
    return await _page(visit, PairChoice(), [])


async def give(visit: Visit) -> Response:
    """Hold a choice, store the one before it, and show the next pair."""
    await _submit(visit, _choice(visit, "held_"))
    choice, skipped = _choice(visit), visit.form.get("skipped", "").split()
    if choice.better == "skip":
        # Once all have been skipped, they come again.
        return await _page(visit, PairChoice(), [*skipped, choice.pair_id][1 - _MOST :])
    return await _page(visit, choice, skipped)


async def undo(visit: Visit) -> Response:
    """Show the pair of the held choice again, and forget the choice."""
    skipped = visit.form.get("skipped", "").split()
    return await _page(visit, PairChoice(), skipped, _choice(visit, "held_"))


async def store(visit: Visit) -> Response:
    """Store the choice that the page holds."""
    await _submit(visit, _choice(visit, "held_"))
    return visit.show("_held_pair.html", held=PairChoice())


async def own(visit: Visit) -> Response:
    """Store two answers that the person wrote, and which is better, or let others judge them."""
    choice = _choice(visit)
    if choice.better:
        await _submit(visit, choice)
        return visit.go(visit.here)
    request = pb.SubmitPreferencePairRequest(
        task=visit.task, prompt=choice.prompt, first=choice.left, second=choice.right
    )
    await visit.ask(request, pb.SubmitPreferencePairResponse)
    return visit.go(visit.here, "pair_stored")


async def _page(
    visit: Visit, held: PairChoice, skipped: list[str], first: PairChoice | None = None
) -> Response:
    most = min(len(skipped) + 2, _MOST)
    request = pb.NextPreferencePairsRequest(
        task=visit.task, annotator=visit.annotator, max_items=most
    )
    answer = await visit.ask(request, pb.NextPreferencePairsResponse)
    found = [
        PairChoice(each.pair_id, each.prompt, each.first, each.second)
        for each in answer.pairs
        if each.pair_id != held.pair_id
    ]
    waiting = [each for each in found if each.pair_id not in skipped]
    pair = first or next(iter(waiting or found), None)
    return visit.show(
        "pairs.html",
        pair=pair,
        skipped=skipped if waiting else [],
        held=held,
    )


def _choice(visit: Visit, prefix: str = "") -> PairChoice:
    names = ("pair_id", "prompt", "left", "right", "better", "reason")
    return PairChoice(*(visit.form.get(f"{prefix}{name}", "") for name in names))


async def _submit(visit: Visit, choice: PairChoice) -> None:
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
    await visit.ask(request, pb.SubmitPreferenceResponse)
