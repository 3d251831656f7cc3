"""Labels and choices that people give in a real browser."""

from dataclasses import replace
from functools import partial

from tests.integration.server.console.conftest import ConsoleSite, OpenPage, faults
from tests.integration.server.console.history import PAIRS
from tests.plugins.waiting import wait_until
from tidemill_core.clock import system_clock
from tidemill_core.domain.labeling import LabelItemState
from tidemill_core.storage.database import Page as StoredPage


def test_a_key_labels_a_text_and_undo_takes_it_back(open_page: OpenPage, site: ConsoleSite) -> None:
    """A label is stored when the next one is given or the page is left; undo brings it back."""
    page = open_page("/t/support/label")
    first = page.inner_text("#text")

    page.keyboard.press("2")
    page.wait_for_selector(".held")
    assert page.inner_text("#text") != first
    page.keyboard.press("u")
    page.wait_for_selector(".held", state="detached")
    assert page.inner_text("#text") == first
    page.keyboard.press("3")
    page.wait_for_selector(".held >> text=card")
    assert _decided(site) == {}
    page.keyboard.press("5")
    page.wait_for_selector(".held >> text=transfer")
    assert _decided(site) == {first: "card"}
    page.goto(f"{site.url}/")

    wait_until(lambda: "transfer" in _decided(site).values(), "the held label is stored")


def _decided(site: ConsoleSite) -> dict[str, str]:
    items, _ = site.workspace.storage.label_items.page(
        "support", [LabelItemState.DONE], None, StoredPage(), system_clock()
    )
    return {each.text: each.label for each in items}


def test_a_pair_is_judged_with_a_key_and_undo_takes_it_back(
    open_page: OpenPage, site: ConsoleSite
) -> None:
    """A person chooses the better of two answers; it is stored with the next, or at the end."""
    page, preferences = open_page(f"/t/{PAIRS}/label"), site.workspace.storage.preferences
    stored = partial(preferences.page, PAIRS, StoredPage(size=1))
    prompt, before = page.inner_text(".reading"), stored()[0]

    page.keyboard.press("1")
    page.wait_for_selector(".held >> text=the left one")
    page.keyboard.press("u")
    page.wait_for_selector(".held", state="detached")
    assert page.inner_text(".reading") == prompt
    assert stored()[0] == before
    answer = page.inner_text("#right")
    page.keyboard.press("2")
    page.wait_for_selector(".held >> text=the right one")
    assert faults(page) == []
    page.goto(f"{site.url}/")

    wait_until(lambda: stored()[0] != before, "the held choice is stored")
    [found], _ = stored()
    assert (found.prompt, found.chosen, found.annotator) == (prompt, answer, "ada")


def test_a_pair_that_nobody_judged_is_put_forward_skipped_and_judged(
    open_page: OpenPage, site: ConsoleSite
) -> None:
    """A person adds a pair for others, another one skips a pair, and judges the next."""
    page, preferences = open_page(f"/t/{PAIRS}/label"), site.workspace.storage.preferences
    page.click("summary >> text=Add a pair")
    for field, text in (("prompt", "Is it open?"), ("own-left", "Yes."), ("own-right", "No.")):
        page.fill(f"#{field}", text)
    page.click("text=Let others judge it")
    page.wait_for_selector("text=The pair is stored")
    assert page.inner_text(".reading") == "Is it open?"  # it has no judgement, so it comes first

    page.keyboard.press("s")
    page.wait_for_selector(".reading >> text=How do I block my card?")
    assert faults(page) == []
    page.reload()
    page.wait_for_selector(".reading >> text=Is it open?")
    page.keyboard.press("1")
    page.wait_for_selector(".held >> text=the left one")
    page.goto(f"{site.url}/")
    waiting = partial(preferences.waiting_pairs, PAIRS, "ada", 100)
    wait_until(
        lambda: "Is it open?" not in [pair.prompt for pair in waiting()],
        "the choice is stored",
    )


def test_labels_are_found_while_one_types(open_page: OpenPage, site: ConsoleSite) -> None:
    """Where labels are many, `/` searches them, and Enter gives the first match."""
    datasets, now = site.workspace.storage.datasets, system_clock()
    labels = {f"topic {number}": 10 for number in range(40)}
    newer = replace(datasets.get("2" * 64), dataset_version="3" * 64, label_counts=labels)
    datasets.add(replace(newer, create_time=now, build_time=now))
    page = open_page("/t/support/label")

    page.keyboard.press("/")
    page.keyboard.type("PIC 17")
    assert page.locator("#labels button:visible").count() == 1
    page.keyboard.press("Enter")

    assert page.inner_text(".held strong") == "topic 17"
