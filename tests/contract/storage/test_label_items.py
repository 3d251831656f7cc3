"""The table of label items."""

from collections.abc import Iterator

from tests.contract.storage.labeling import all_items, lease, say, texts_of
from tests.contract.storage.values import NOW, at_once, label_request, later
from tidemill_core.domain.labeling import LabelItem, LabelItemState, LabelReason
from tidemill_core.storage.database import Page
from tidemill_core.storage.storage import Storage


def test_reads_back_what_was_queued(storage: Storage) -> None:
    """Items come back as they were requested, open, newest first."""
    audit = label_request(
        "漢字🎉\n",
        reason=LabelReason.AUDIT,
        suggested_labels=("é", "b"),
        inclusion_probability=0.01,
        origin="p1",
    )
    assert storage.label_items.add([label_request("first"), audit], 3, NOW) == 2
    [second, first], token = storage.label_items.page("support", (), None, Page(), NOW)
    assert (first.text, first.inclusion_probability, first.suggested_labels) == ("first", None, ())
    assert (second.text, second.reason) == ("漢字🎉\n", LabelReason.AUDIT)
    assert (second.suggested_labels, second.inclusion_probability) == (("é", "b"), 0.01)
    assert (second.state, second.judgements_wanted, second.judgements) == ("OPEN", 3, ())
    assert (second.create_time, second.resolve_time, token) == (NOW, None, "")


def test_a_text_waits_once_for_each_reason(storage: Storage) -> None:
    """The same text, in any case and spacing, is queued again for another reason or task only."""
    assert storage.label_items.add([label_request(), label_request("WHERE is  my card?")], 1, NOW)
    assert storage.label_items.add([label_request()], 1, NOW) == 0
    others = [label_request(reason=LabelReason.DISAGREEMENT), label_request(task="arxiv")]
    assert storage.label_items.add(others, 1, NOW) == 2
    assert len(all_items(storage)) == 3
    [item] = lease(storage, count=1)
    say(storage, item, "lost_card", "ana")
    assert storage.label_items.add([label_request()], 1, NOW) == 1


def test_an_origin_is_asked_about_once_for_each_reason(storage: Storage) -> None:
    """An origin is queued once, whatever its result, and even if it shares its text."""
    same = [label_request(origin="p1"), label_request(origin="p2")]
    assert storage.label_items.add(same, 1, NOW) == 1
    [item] = lease(storage)
    assert item.origin_count == 2
    say(storage, item, "lost_card", "ana")
    assert storage.label_items.add(same, 1, NOW) == 0
    assert [each.origin_count for each in all_items(storage)] == [2]
    assert storage.label_items.add([label_request(origin="p1", task="arxiv")], 1, NOW) == 1


def test_many_are_queued_by_several_at_once(storage: Storage, second_storage: Storage) -> None:
    """Threads that queue the same texts queue each once, also over several transactions."""
    requests = [label_request(f"text {n}", origin=f"p{n}") for n in range(600)]
    stores = [storage.label_items, second_storage.label_items]
    added = at_once(lambda n: stores[n % 2].add(requests, 1, NOW), range(2), threads=2)
    assert sum(added) == len(all_items(storage)) == 600


def test_pages_are_stable_and_filtered(storage: Storage) -> None:
    """Pages have each item of the task, reason and states once, newest first."""
    storage.label_items.add([label_request(f"text {n}") for n in range(7)], 1, NOW)
    storage.label_items.add([label_request(reason=LabelReason.DISAGREEMENT)], 1, NOW)
    storage.label_items.add([label_request(task="arxiv")], 1, NOW)
    lease(storage, count=2)
    states = (LabelItemState.OPEN, LabelItemState.DONE)

    def pages() -> Iterator[list[LabelItem]]:
        token = ""
        while True:
            page = Page.parse(2, token)
            rows, token = storage.label_items.page(
                "support", states, LabelReason.UNCERTAIN, page, NOW
            )
            yield rows
            if not token:
                return
            storage.label_items.add([label_request(f"late {token}")], 1, NOW)

    assert texts_of([item for rows in pages() for item in rows]) == [
        f"text {n}" for n in (6, 5, 4, 3, 2)
    ]


def test_texts_are_removed_by_their_age(storage: Storage) -> None:
    """A waiting item without its text is EXPIRED; a decided one no longer trains."""
    requests = [label_request(f"text {n}", text_time=later(n)) for n in range(3)]
    storage.label_items.add(requests, 1, later(9))
    [item] = lease(storage, count=1)
    say(storage, item, "a", "ana")
    assert storage.label_items.expire_texts("support", later(2), 1) == 1
    assert storage.label_items.expire_texts("arxiv", later(2), 10) == 0
    assert storage.label_items.expire_texts("support", later(2), 10) == 1
    found = [(each.state, each.text, each.label) for each in all_items(storage)]
    assert found == [("DONE", "", "a"), ("EXPIRED", "", ""), ("OPEN", "text 2", "")]
    assert storage.label_items.decided("support") == []
    assert storage.label_items.add(requests, 1, NOW) == 2
    assert storage.label_items.add(requests, 1, NOW) == 0
