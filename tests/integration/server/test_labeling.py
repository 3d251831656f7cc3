"""LabelingService: items are leased, judged once by each annotator, and listed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.contract.storage.values import dataset, label_request
from tests.integration.server.front import Front, Workspace
from tests.integration.server.refusal import refusal, words
from tidemill.v1 import labeling_service_pb2 as pb
from tidemill_client import TidemillClient
from tidemill_core.domain.labeling import LabelReason

TASK = "mixed"


@pytest.fixture
def queue(workspace: Workspace) -> Callable[..., None]:
    """Queue texts, after removing those of other tests."""

    def add(*texts: str, wanted: int = 1, **changes: Any) -> None:
        now = datetime.now(UTC)
        requests = [label_request(text, task=TASK, text_time=now, **changes) for text in texts]
        workspace.storage.label_items.add(requests, wanted, now)

    workspace.storage.label_items.expire_texts(TASK, datetime.now(UTC), 10_000)
    return add


def lease(front: Front, annotator: str = "ana", **changes: Any) -> pb.LeaseLabelItemsResponse:
    """Lease items to an annotator."""
    request = pb.LeaseLabelItemsRequest(**{"task": TASK, "annotator": annotator, **changes})
    return front.labeling.LeaseLabelItems(request, timeout=10)


def submit(
    front: Front, item: pb.LabelItem, label: str, annotator: str = "ana", **changes: Any
) -> pb.SubmitLabelResponse:
    """Submit a label of an item."""
    fields = {"task": item.task, "label_item_id": item.label_item_id, "label": label}
    request = pb.SubmitLabelRequest(**{**fields, "annotator": annotator, **changes})
    return front.labeling.SubmitLabel(request, timeout=10)


def listed(front: Front, *states: pb.LabelItemState, **changes: Any) -> Sequence[pb.LabelItem]:
    """Return the newest items in some states."""
    request = pb.ListLabelItemsRequest(**{"task": TASK, "states": states, **changes})
    return front.labeling.ListLabelItems(request, timeout=10).label_items


def test_from_the_queue_to_a_decision(
    front: Front, workspace: Workspace, queue: Callable[..., None]
) -> None:
    """Two annotators audit a text without seeing each other's labels, which decide it."""
    workspace.storage.datasets.add(dataset("e" * 64, TASK))
    queue("a text", wanted=2, reason=LabelReason.AUDIT, inclusion_probability=0.01, origin="p")
    before = datetime.now(UTC)
    given = lease(front)
    [item] = given.label_items
    assert (item.text, item.reason, item.state) == ("a text", 1, pb.LABEL_ITEM_STATE_LEASED)
    assert (item.inclusion_probability, item.origin_count) == (0.01, 1)
    assert not item.suggested_labels
    assert (given.waiting_count, given.labels) == (1, ["a", "b"])
    length = item.lease_expire_time.ToDatetime(tzinfo=UTC) - before
    assert timedelta(minutes=30) <= length < timedelta(minutes=31)
    first = submit(front, item, " a \n b ")
    assert (first.judgement.label, first.label_item.judgements_given) == ("a b", 1)
    [theirs] = lease(front, "ben").label_items
    assert (theirs.judgements_given, theirs.judgements) == (1, [])
    second = submit(front, theirs, "a b", "ben")
    assert (second.label_item.label, second.label_item.state) == ("a b", 3)
    [done] = listed(front, pb.LABEL_ITEM_STATE_DONE, page_size=1)
    assert list(done.judgements) == [first.judgement, second.judgement]
    assert done.HasField("resolve_time")


def test_repeats_get_the_first_answer(front: Front, queue: Callable[..., None]) -> None:
    """A repeated request id, or the same label again, returns the first answer."""
    queue("one", "two")
    [item] = lease(front, request_id="lease-1").label_items
    assert [each.text for each in lease(front, request_id="lease-1").label_items] == ["one"]
    first = submit(front, item, "a", request_id="label-1").judgement
    assert submit(front, item, "a", request_id="label-1").judgement == first
    assert submit(front, item, "a").judgement == first
    refused = refusal(lambda: submit(front, item, "b"))
    assert words(refused)[:2] == ("FAILED_PRECONDITION", "ALREADY_JUDGED")
    refused = refusal(lambda: submit(front, item, "a", "ben"))
    assert words(refused)[:2] == ("FAILED_PRECONDITION", "LABEL_ITEM_CLOSED")


def test_nothing_waits(front: Front, queue: Callable[..., None]) -> None:
    """An empty queue is not an error."""
    queue()
    assert lease(front) == pb.LeaseLabelItemsResponse(labels=lease(front).labels)


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"task": "unheard_of"}, "UNKNOWN_TASK", "task"),
        ({"annotator": " \u200b"}, "BLANK_TEXT", "annotator"),
        ({"annotator": "x" * 201}, "VALUE_TOO_LONG", "annotator"),
        ({"request_id": "\x1b"}, "CONTROL_CHARACTERS", "request_id"),
        ({"max_items": -1}, "INVALID_MAX_ITEMS", "max_items"),
    ],
)
def test_a_wrong_lease_is_refused(
    front: Front, fields: dict[str, Any], reason: str, field: str
) -> None:
    """A wrong lease is INVALID_ARGUMENT with the field and the rule."""
    refused = refusal(lambda: lease(front, **fields))
    assert words(refused) == ("INVALID_ARGUMENT", reason, field)


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"task": ""}, "INVALID_ARGUMENT", "UNKNOWN_TASK"),
        ({"annotator": ""}, "INVALID_ARGUMENT", "BLANK_TEXT"),
        ({"label": ""}, "INVALID_ARGUMENT", "BLANK_TEXT"),
        ({"label": "\u200b \n"}, "INVALID_ARGUMENT", "BLANK_TEXT"),
        ({"label": "x" * 201}, "INVALID_ARGUMENT", "VALUE_TOO_LONG"),
        ({"label": "a\0"}, "INVALID_ARGUMENT", "CONTROL_CHARACTERS"),
        ({"request_id": "x" * 201}, "INVALID_ARGUMENT", "VALUE_TOO_LONG"),
        ({"label_item_id": "x" * 201}, "INVALID_ARGUMENT", "VALUE_TOO_LONG"),
        ({"label_item_id": ""}, "NOT_FOUND", "LABEL_ITEM_NOT_FOUND"),
        ({"task": "swapped"}, "NOT_FOUND", "LABEL_ITEM_NOT_FOUND"),
    ],
)
def test_a_wrong_judgement_is_refused(
    front: Front, queue: Callable[..., None], fields: dict[str, Any], code: str, reason: str
) -> None:
    """A wrong label is refused, and nothing is stored."""
    queue("a text")
    [item] = lease(front).label_items
    refused = refusal(lambda: submit(front, item, **{"label": "a", **fields}))
    assert words(refused)[:2] == (code, reason)
    assert listed(front, page_size=1)[0].judgements_given == 0


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"states": [99]}, "UNKNOWN_VALUE", "states"),
        ({"states": [0]}, "UNKNOWN_VALUE", "states"),
        ({"reason": -1}, "UNKNOWN_VALUE", "reason"),
    ],
)
def test_a_wrong_list_is_refused(
    front: Front, fields: dict[str, Any], reason: str, field: str
) -> None:
    """A wrong list is INVALID_ARGUMENT with the field and the rule."""
    refused = refusal(lambda: listed(front, **fields))
    assert words(refused) == ("INVALID_ARGUMENT", reason, field)


def test_the_largest_fit_into_a_message(front: Front, queue: Callable[..., None]) -> None:
    """40 items of the longest texts fit into one answer, however many were requested."""
    queue(*[f"{number:02}" + "🎉" * 99_998 for number in range(41)])
    request = pb.LeaseLabelItemsRequest(task=TASK, annotator="ana", max_items=1000)
    with TidemillClient(front.address) as client:
        assert len(client.labeling.LeaseLabelItems(request, timeout=30).label_items) == 40
        page = client.labeling.ListLabelItems(pb.ListLabelItemsRequest(page_size=1000), timeout=30)
    assert len(page.label_items) == 40
    assert page.next_page_token


def test_a_label_that_is_new_is_refused_where_it_may_be_a_typo(
    front: Front, workspace: Workspace, queue: Callable[..., None]
) -> None:
    """With `known_only`; the error names similar labels, and nothing is stored."""
    known = dataset("d" * 64, TASK)
    counts = {"card_arrival": 1, "lost_card": 1}
    workspace.storage.datasets.add(replace(known, label_counts=counts))
    queue("a text")
    [item] = lease(front).label_items
    refused = refusal(lambda: submit(front, item, "card_arival", known_only=True))
    assert words(refused) == ("INVALID_ARGUMENT", "UNKNOWN_LABEL", "label")
    assert refused.message == (
        "label: 'card_arival' is not one of the 2 labels of 'mixed'; did you mean 'card_arrival'?"
    )
    assert listed(front, page_size=1)[0].judgements_given == 0
    assert submit(front, item, " card_arrival ", known_only=True).label_item.label == "card_arrival"
    queue("another text")
    [item] = lease(front).label_items
    assert submit(front, item, "card_arival").label_item.label == "card_arival"
