"""Labeling as every transport gets it: the names that labels have."""

from datetime import timedelta

import pytest

from tests.contract.storage.values import dataset, judgement, label_request
from tests.integration.server.front import NOW, Workspace
from tidemill_core.domain.labeling import LabelItem
from tidemill_core.settings import LabelNames
from tidemill_core.storage.database import Page
from tidemill_core.unknown_label import UnknownLabel
from tidemill_server.handlers.labeling import LabelingHandler
from tidemill_server.inference.router import Router

NAMES = LabelNames(add=["crypto"], rename={"a": "new", "old": "new"})


@pytest.fixture
def handler(workspace: Workspace, router: Router) -> LabelingHandler:
    """Over the workspace's database, where `support` has a dataset version with `a` and `b`."""
    storage = workspace.storage
    storage.datasets.add(dataset("f" * 64))
    names = {"support": NAMES}
    return LabelingHandler(
        *(storage.label_items, storage.datasets, router, names, lambda: NOW, timedelta(minutes=30))
    )


@pytest.fixture
def item(workspace: Workspace) -> LabelItem:
    """An item that wants five judgements, and has one by an old name."""
    store = workspace.storage.label_items
    wish = label_request(text_time=NOW, suggested_labels=("a", "old", "b"))
    store.add([wish], 5, NOW)
    [queued], _ = store.page("support", (), None, Page(), NOW)
    store.submit("support", judgement(queued.label_item_id, "old", annotator="ana"), {})
    return queued


async def test_items_and_labels_have_their_current_names(
    handler: LabelingHandler, item: LabelItem
) -> None:
    """In leases, answers and lists; labels that the settings add can be chosen."""
    given = await handler.lease("support", "ben", 1, "")
    assert given.labels == ["b", "crypto", "new"]
    assert given.items[0].suggested_labels == ("new", "b")
    said, _ = await handler.submit("support", item.label_item_id, "ben", " a ", "", known_only=True)
    assert said.label == "new"
    _, now = await handler.submit("support", item.label_item_id, "cleo", "new", "")
    assert (now.state, now.label) == ("OPEN", "")
    for annotator in ("dan", "eve"):
        _, now = await handler.submit("support", item.label_item_id, annotator, "b", "")
    assert (now.state, now.label) == ("DONE", "new")
    [listed], _ = await handler.list_items("support", (), None, Page())
    assert sorted(each.label for each in listed.judgements) == ["b"] * 2 + ["new"] * 3


async def test_what_is_stored_is_what_was_said(
    workspace: Workspace, handler: LabelingHandler, item: LabelItem
) -> None:
    """An old name stays in the database, where a rename that is taken back finds it."""
    await handler.submit("support", item.label_item_id, "ben", "a", "")
    found, _ = workspace.storage.label_items.page("support", (), None, Page(), NOW)
    assert {each.label for each in found[0].judgements} == {"old", "a"}


async def test_only_known_labels_are_taken_where_that_is_asked(
    handler: LabelingHandler, item: LabelItem
) -> None:
    """Those of the newest dataset version and of the settings."""
    for annotator, label in {"ben": "a", "cleo": "crypto", "dan": "b", "eve": "new"}.items():
        await handler.submit("support", item.label_item_id, annotator, label, "", known_only=True)
    with pytest.raises(UnknownLabel, match="one of the 3 labels of 'support'; did you mean 'cryp"):
        await handler.submit("support", item.label_item_id, "fay", "cripto", "", known_only=True)


async def test_the_items_of_a_task_that_is_gone_are_listed(
    workspace: Workspace, handler: LabelingHandler
) -> None:
    """As they are stored, since no setting names its labels."""
    store = workspace.storage.label_items
    store.add([label_request("left over", task="gone", suggested_labels=("a",))], 1, NOW)
    [listed], _ = await handler.list_items("gone", (), None, Page())
    assert listed.suggested_labels == ("a",)


async def test_before_its_first_dataset_version_a_task_knows_no_label(
    workspace: Workspace, router: Router
) -> None:
    """Then none can be new, and all are taken."""
    storage = workspace.storage
    storage.label_items.add([label_request(text_time=NOW)], 1, NOW)
    [queued], _ = storage.label_items.page("support", (), None, Page(), NOW)
    names = {"support": LabelNames()}
    handler = LabelingHandler(storage.label_items, storage.datasets, router, names, lambda: NOW, 30)
    place = ("support", queued.label_item_id, "ana")
    _, now = await handler.submit(*place, "anything", "", known_only=True)
    assert now.label == "anything"
