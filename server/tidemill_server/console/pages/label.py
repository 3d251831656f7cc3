"""Label: one text after the other, one key a label.

A stored judgement cannot be changed, so the page holds a label until the next one is given, and
undo brings its text back. The page also stores it after half a minute, and when it is left.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from starlette.responses import Response

from tidemill.v1 import labeling_service_pb2 as pb
from tidemill_server.console.pages import pairs
from tidemill_server.console.routes import get, post, problem
from tidemill_server.console.visit import Visit
from tidemill_server.gateway.problem import Failed

KEYS = "123456789abcdefhijklmnopqrtvwxyz"
"""The keys of the first labels; g, s and u have other meanings."""
_DECIDED = 20
_REFUSED = (400, 404)


@dataclass(frozen=True)
class Held:
    """A label that is not stored yet.

    Attributes:
        lease: the request id of its item's lease, which brings the item back.
        item: the item.
        label: the label; empty if none is held.
        is_new: whether the label may be new to the task.
    """

    lease: str = ""
    item: str = ""
    label: str = ""
    is_new: bool = False


async def show(visit: Visit) -> Response:
    """Show the next text; the lease in the address brings the same one after a reload."""
    if visit.task in visit.tasks and visit.tasks[visit.task].kind == "preference":
        return await pairs.show(visit)
    lease = visit.request.query_params.get("lease", "")
    if not lease:
        return visit.go(f"{visit.here}?lease={_new_lease()}")
    return await _item(visit, lease, Held(), visit.request.query_params.get("then", ""))


async def give(visit: Visit) -> Response:
    """Hold a label, store the one before it, and show the next text."""
    refused = await _refusal(visit)
    form, label = visit.form, visit.form.get("label", "")
    new = form.get("new_label", "").strip() if label == "new" else ""
    held = Held(form.get("lease", ""), form.get("item", ""), new or label, bool(new))
    if label == "skip" or not held.item or (label == "new" and not new):
        held = Held()
    return await _item(visit, form.get("then", "") or _new_lease(), held, refused=refused)


async def _refusal(visit: Visit) -> str:
    """Store the label that the page held; return why it is refused, such as "others decided".

    Raises:
        Failed: it is not refused, but could not be stored now.
    """
    try:
        await _store(visit, _held(visit))
    except Failed as failed:
        why = problem(failed)
        if why.status not in _REFUSED:
            raise
        return why.detail
    return ""


async def store(visit: Visit) -> Response:
    """Store the label that the page holds."""
    await _store(visit, _held(visit))
    return visit.show("_held.html", held=Held(), lease="")


def _held(visit: Visit) -> Held:
    form = visit.form
    label, is_new = form.get("held_label", ""), form.get("held_is_new", "") == "True"
    return Held(form.get("held_lease", ""), form.get("held_item", ""), label, is_new)


async def _store(visit: Visit, held: Held) -> None:
    if not held.label:
        return
    request = pb.SubmitLabelRequest(
        task=visit.task,
        label_item_id=held.item,
        annotator=visit.annotator,
        label=held.label,
        known_only=not held.is_new,
    )
    await visit.ask(request, pb.SubmitLabelResponse)


async def _item(
    visit: Visit, lease: str, held: Held, then: str = "", refused: str = ""
) -> Response:
    request = pb.LeaseLabelItemsRequest(
        task=visit.task, annotator=visit.annotator, max_items=1, request_id=lease
    )
    answer = await visit.ask(request, pb.LeaseLabelItemsResponse)
    response = visit.show(
        "label.html",
        item=answer.label_items[0] if answer.label_items else None,
        waiting=answer.waiting_count - bool(held.label),
        labels=_with_keys(answer.labels),
        held=held,
        lease=lease,
        then=then,
        refused=refused,
        decided=await _decided(visit),
    )
    if "hx-request" in visit.request.headers:
        response.headers["hx-replace-url"] = f"{visit.here}?lease={lease}"
    return response


def _with_keys(labels: Iterable[str]) -> list[tuple[str, str]]:
    """Return labels with their keys; those after the last key have none."""
    keys = list(KEYS)
    return [(label, keys[i] if i < len(keys) else "") for i, label in enumerate(labels)]


def _new_lease() -> str:
    return f"console-{secrets.token_urlsafe(9)}"


async def _decided(visit: Visit) -> dict[str, Any] | None:
    """Return the last decided items and how often people agree; None without `admin`."""
    if not visit.may("admin"):
        return None
    states = [pb.LABEL_ITEM_STATE_DONE, pb.LABEL_ITEM_STATE_UNRESOLVED]
    request = pb.ListLabelItemsRequest(task=visit.task, states=states, page_size=_DECIDED)
    found = await visit.ask(request, pb.ListLabelItemsResponse)
    pairs_of_labels = [
        (one.label, other.label)
        for item in found.label_items
        for one, other in combinations(item.judgements, 2)
    ]
    agreeing = sum(one == other for one, other in pairs_of_labels)
    share = agreeing / len(pairs_of_labels) if pairs_of_labels else None
    return {"items": found.label_items, "agreement": share, "pairs": len(pairs_of_labels)}


ROUTES = (
    get("/t/{task}/label", show),
    post("/t/{task}/label", give),
    post("/t/{task}/label/store", store),
    post("/t/{task}/label/pair", pairs.give),
    post("/t/{task}/label/pair/undo", pairs.undo),
    post("/t/{task}/label/pair/store", pairs.store),
    post("/t/{task}/label/pair/own", pairs.own),
)
