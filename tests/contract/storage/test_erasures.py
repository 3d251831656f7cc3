"""Requests to erase texts, and their removal from the other tables."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import Engine, event

from tests.contract.storage.values import NOW, label_request, later, prediction, preference, verdict
from tidemill_core.domain.preference import pair_of
from tidemill_core.domain.split import content_hash
from tidemill_core.storage.database import Page
from tidemill_core.storage.preferences import TextErased
from tidemill_core.storage.storage import Storage

TEXT = "My Name"
HASH = content_hash(TEXT)


def _erase(storage: Storage) -> Counter[str]:
    found: Counter[str] = Counter()
    for table, hashes in storage.erasures.erase_stored("support", {HASH}):
        assert set(hashes) <= {HASH}
        found[table] += len(hashes)
    return +found


def test_a_request_is_kept_once(storage: Storage) -> None:
    """A repeated request is the same erasure; after it is finished, it is open again."""
    first = storage.erasures.request("support", HASH, "ann", NOW)
    again = storage.erasures.request("support", HASH, "bob", later(1))
    assert again == replace(first, requests=2)
    assert storage.erasures.request("other", HASH, "ann", NOW) != first
    storage.erasures.finish(again, later(2))
    (done,) = storage.erasures.of_task("support")
    assert done.erase_time == later(2)
    assert storage.erasures.request("support", HASH, "ann", later(3)).erase_time is None


def test_counts_add_up_until_a_new_request(storage: Storage) -> None:
    """A run that goes on after a failed one adds its rows; a request after the end starts at 0."""
    asked = storage.erasures.request("support", HASH, "ann", NOW)
    storage.erasures.add_counts(asked, {"predictions": 2, "intake": 0})
    assert storage.erasures.request("support", HASH, "ann", later(1)).counts["predictions"] == 2
    storage.erasures.add_counts(asked, {"predictions": 1, "datasets": 4})
    (found,) = storage.erasures.of_task("support")
    assert found.counts == {"predictions": 3, "intake": 0, "datasets": 4}
    storage.erasures.finish(found, later(2))
    assert storage.erasures.request("support", HASH, "ann", later(3)).counts == {}


def test_a_request_amid_a_run_is_not_finished_by_it(storage: Storage) -> None:
    """Rows that arrive after a run searched may remain, so a later request stays open."""
    seen = storage.erasures.request("support", HASH, "ann", NOW)
    storage.erasures.request("support", HASH, "ann", later(1))
    storage.erasures.finish(seen, later(2))
    (left,) = storage.erasures.of_task("support")
    assert left.erase_time is None


def test_aliases_add_up(storage: Storage) -> None:
    """New aliases are added to the known ones."""
    asked = storage.erasures.request("support", HASH, "ann", NOW)
    storage.erasures.add_aliases(asked, {"b", HASH})
    (asked,) = storage.erasures.of_task("support")
    storage.erasures.add_aliases(asked, {"a"})
    assert storage.erasures.hashes("support") == dict.fromkeys((HASH, "a", "b"), HASH)


def test_texts_go_and_rows_stay(storage: Storage) -> None:
    """Texts are removed from all tables, over several pages; only pairs are deleted."""
    names = [f"p{number:05d}" for number in range(2001)]
    storage.predictions.add([prediction(name, text="my  NAME") for name in names])
    storage.predictions.add([prediction("q1", text="another"), prediction("q2", text="")])
    storage.predictions.add([prediction("r1", text=TEXT, task="other")])
    storage.feedback.add([verdict("p00001", text=TEXT), verdict("q1", text="another")])
    for place in ("prompt", "chosen", "rejected"):
        storage.preferences.add(preference(**{place: TEXT}))
    storage.preferences.add(preference())
    storage.preferences.add_pair(pair_of("support", "which?", (TEXT, "another"), NOW))
    for text in ("MY name", "another"):
        storage.label_items.add([label_request(text=text)], 1, NOW)
    found = _erase(storage)
    assert found == {
        "predictions": 2001,
        "feedback": 1,
        "preferences": 3,
        "preference_pairs": 4,
        "label_items": 1,
    }
    assert _erase(storage).total() == 0
    texts = storage.predictions.texts_and_labels([*names, "q1", "r1"])
    assert Counter(text for text, _ in texts.values()) == {"": 2001, "another": 1, TEXT: 1}
    assert [v.text for v in storage.feedback.latest_verdicts("support")] == ["", "another"]
    items, _ = storage.label_items.page("support", (), None, Page(), NOW)
    assert sorted((item.text, item.state) for item in items) == [
        ("", "EXPIRED"),
        ("another", "OPEN"),
    ]
    (left,) = storage.preferences.page("support", Page())[0]
    assert TEXT not in (left.prompt, left.chosen, left.rejected)


def test_only_open_requests_cost_statements(storage: Storage) -> None:
    """The counts of a page cost as many statements for forty texts as for two."""
    storage.erasures.request("support", HASH, "ann", NOW)

    def statements(texts: int) -> int:
        words = [TEXT, *(f"text {number}" for number in range(1, texts))]
        storage.predictions.add(
            [prediction(f"{texts}-{n}", text=each) for n, each in enumerate(words)]
        )
        seen: list[str] = []
        with _listening(seen):
            list(storage.erasures.erase_stored("support", set(map(content_hash, words))))
        return sum("erasures" in each for each in seen)

    assert statements(2) == statements(40)
    (asked,) = storage.erasures.of_task("support")
    assert asked.counts["predictions"] == 2


@contextmanager
def _listening(seen: list[str]) -> Iterator[None]:
    """Note every SQL statement of the block."""

    def note(*values: object) -> None:
        seen.append(str(values[2]))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_what_stands_beside_a_text_goes_with_it(storage: Storage) -> None:
    """Comments, reasons and attributes are removed, also if only one of them has the text."""
    beside, alone = {"name": "Ann"}, {"said": TEXT}
    storage.predictions.add([prediction("p1", text=TEXT, attributes=beside)])
    storage.predictions.add([prediction("p2", attributes=alone), prediction("p3")])
    storage.feedback.add([verdict("p1", text=TEXT, comment="Ann"), verdict("p2", comment=TEXT)])
    storage.preferences.add(preference(reason=TEXT))
    assert _erase(storage) == {"predictions": 2, "feedback": 2, "preferences": 1}
    found = [storage.predictions.get(name) for name in ("p1", "p2", "p3")]
    assert [each.attributes for each in found if each] == [{}, {}, {"channel": "mail"}]
    assert [each.comment for each in storage.feedback.latest_verdicts("support")] == ["", ""]


def test_a_pair_without_a_task_is_every_tasks(storage: Storage) -> None:
    """Any task's request erases a pair without a task."""
    storage.preferences.add(preference(TEXT, task=""))
    storage.preferences.add(preference(TEXT, task="other"))
    assert _erase(storage) == {"preferences": 1, "preference_pairs": 1}


def test_an_erased_text_is_not_queued_again(storage: Storage) -> None:
    """None of its hashes can be queued, even by a job that read the text before."""
    asked = storage.erasures.request("support", content_hash("as it came"), "ann", NOW)
    storage.erasures.add_aliases(asked, {HASH})
    again = [label_request("As it came"), label_request(TEXT), label_request("another")]
    assert storage.label_items.add([*again, label_request(TEXT, task="other")], 1, NOW) == 2
    items, _ = storage.label_items.page("", (), None, Page(), NOW)
    assert {(item.task, item.text) for item in items} == {("other", TEXT), ("support", "another")}


def test_an_erased_pair_does_not_come_back(storage: Storage) -> None:
    """Neither who proposes it again nor who judges it late stores its texts; other pairs stay."""
    pair = pair_of("support", "which?", (TEXT, "another"), NOW)
    storage.preferences.add_pair(pair)
    storage.erasures.request("support", HASH, "ann", NOW)
    assert _erase(storage) == {"preference_pairs": 1}
    for task in ("support", ""):
        with pytest.raises(TextErased):
            storage.preferences.add_pair(replace(pair, task=task))
        with pytest.raises(TextErased):
            storage.preferences.add(preference(TEXT, task=task))
    assert storage.preferences.page("", Page())[0] == []
    assert storage.preferences.waiting_pairs("support", "ana", 10) == []
    storage.preferences.add_pair(replace(pair, task="other"))
    storage.preferences.add(preference())
