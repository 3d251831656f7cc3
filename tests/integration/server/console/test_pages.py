"""Each page in a real browser."""

from datetime import timedelta

import pytest

from tests.integration.server.console.conftest import ConsoleSite, OpenPage, csrf, faults
from tests.integration.server.console.history import PAIRS, SCRIPT, TEXTS
from tidemill_core.clock import system_clock
from tidemill_core.storage.database import Page as StoredPage
from tidemill_core.storage.predictions import Span

PAGES = {
    "/": "Loop",
    "/t/support/try": "Try it",
    "/t/support/versions": "Versions",
    "/t/support/versions/2": "Version 2",
    "/t/support/versions/compare?a=2&b=5": "Version 2 and version 5",
    "/t/support/quality": "Quality",
    "/t/support/data": "Data",
    f"/t/support/data/{'2' * 64}": "Dataset 222222222222",
    f"/t/support/data/{'2' * 64}/excluded": "Rows that are not in it",
    f"/t/support/data/diff?a={'1' * 64}&b={'2' * 64}": "What changed",
    "/t/support/label": "Label",
    f"/t/{PAIRS}/label": "Label",
    "/t/support/jobs": "Jobs",
    "/t/support/alerts": "Alerts",
    "/keys": "Keys",
    "/sign-in": "Sign in",
}


@pytest.mark.parametrize("path", PAGES)
def test_page_is_accessible_and_fits(open_page: OpenPage, path: str) -> None:
    """A page fits into 400 px and 100 KB, and axe finds nothing serious in dark or light."""
    page = open_page(path, width=400, dark=list(PAGES).index(path) % 2 == 0)

    assert page.locator("h1").inner_text().startswith(PAGES[path])
    assert faults(page) == []
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) <= 0
    right_of_the_page = "all => all.filter(each => each.getBoundingClientRect().right > 400).length"
    assert page.locator(".pages a").evaluate_all(right_of_the_page) == 0
    assert len(page.content()) < 100_000


def test_loop_shows_the_state_and_follows_it(open_page: OpenPage, site: ConsoleSite) -> None:
    """The loop page has the champion, the accuracy with its source, and what runs now."""
    page = open_page("/")

    task = page.locator("#loop-support")
    assert "Version 2" in task.inner_text()
    assert "86.0 %" in task.inner_text()
    assert "from audits and feedback" in task.inner_text()
    assert "comparing 4,812 predictions" in task.inner_text()
    jobs, now = site.workspace.storage.jobs, system_clock()
    [running] = [
        each for each in jobs.page("", "support", StoredPage())[0] if each.progress == 0.45
    ]
    jobs.beat(running.run_id, 0.55, "comparing the rest of them", now)
    page.wait_for_selector("#loop-support >> text=comparing the rest of them")
    jobs.beat(running.run_id, 0.45, "comparing 4,812 predictions with the reference", now)


def test_a_page_says_when_it_no_longer_follows(open_page: OpenPage) -> None:
    """While the server does not answer, a live page says that what it shows may be old."""
    page = open_page("/keys")
    assert page.is_hidden("#stale")
    page.route("**/console/loop", lambda _route: None)  # never answered
    page.goto(page.url.removesuffix("keys"))
    page.wait_for_selector("#stale:not([hidden])")
    page.unroute_all(behavior="ignoreErrors")


def test_a_form_without_an_answer_is_not_called_refused(open_page: OpenPage) -> None:
    """After its time limit, the server may have taken a form; the page says so until it is sent."""
    page = open_page("/t/support/try")
    page.route("**/console/t/support/try", lambda _route: None)  # never answered
    page.evaluate("htmx.config.timeout = 100; console.error = () => {}")  # htmx logs the timeout
    page.fill("#text", "lost my card")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#late:not([hidden])")
    assert page.is_hidden("#trouble")
    page.evaluate("document.getElementById('stale').hidden = false")
    stale, late = page.locator("#stale").bounding_box(), page.locator("#late").bounding_box()
    assert stale is not None
    assert late is not None
    assert stale["y"] + stale["height"] <= late["y"]
    page.unroute_all(behavior="ignoreErrors")
    page.evaluate("htmx.config.timeout = 0")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#late", state="hidden")


def test_a_version_that_waits_for_an_approval_is_on_the_loop(open_page: OpenPage) -> None:
    """A version newer than the champion that waits for a person is named, with a link to it."""
    page = open_page("/")
    page.click("#loop-support >> text=Version 5")
    page.wait_for_selector("h1:has-text('awaiting approval')")


def test_checks_that_did_nothing_are_left_out(open_page: OpenPage) -> None:
    """Jobs shows the runs that did something, and how many checks it leaves out."""
    page = open_page("/t/support/jobs")
    assert "1 run of check_feedback and rollout that did nothing is left out" in page.inner_text(
        "#runs"
    )
    page.click("#runs .more >> text=check_feedback")
    page.wait_for_selector("#runs h2:has-text('check_feedback')")
    assert page.locator("#runs tbody tr:has-text('check_feedback')").count() >= 1


def test_keys_open_pages(open_page: OpenPage) -> None:
    """`g` and a page's key open the page, also from a field that Esc has left."""
    page = open_page("/t/support/try")

    page.focus("#text")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("v")

    page.wait_for_url("**/t/support/versions")


def test_a_text_gets_its_label_and_a_verdict(open_page: OpenPage, site: ConsoleSite) -> None:
    """Try it shows a text's label and version, and stores what was right."""
    page = open_page("/t/support/try")

    page.fill("#text", f"lost my card {SCRIPT}")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#answer .big")
    assert "version 2" in page.inner_text("#answer")
    page.select_option("#label", "login")
    page.fill("#comment", SCRIPT)
    page.click("text=Send the verdict")

    assert "verdict is stored" in page.inner_text(".notice.good")
    [stored], _ = site.workspace.storage.feedback.page("support", "", StoredPage(size=1))
    assert (stored.label, stored.comment, stored.source) == ("login", SCRIPT, "ada")


def test_a_text_that_cannot_be_predicted_is_explained(site: ConsoleSite) -> None:
    """Try it says what is wrong with a text, and keeps it in the form."""
    client = site.signed_in()
    fields = {"csrf": csrf(client, "/t/support/try"), "text": f"{SCRIPT}\x07"}

    answer = client.post("/console/t/support/try", data=fields)

    assert answer.status_code == 400
    assert "control character U+0007" in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
    assert SCRIPT not in answer.text


def test_a_task_that_does_not_exist_has_no_pages(site: ConsoleSite) -> None:
    """The page says so, and does not look like that of a task without data."""
    answer = site.signed_in().get("/console/t/nope/quality")
    assert answer.status_code == 404
    assert "there is no task &#39;nope&#39;" in answer.text
    assert "<code>UNKNOWN_TASK</code>" in answer.text


def test_versions_show_gates_and_change_traffic(open_page: OpenPage, site: ConsoleSite) -> None:
    """A version's page has its gates and confusions, and the traffic can be set and rolled back."""
    page = open_page("/t/support/versions/5")
    page.on("dialog", lambda dialog: dialog.accept())

    assert "none of 4 falls beyond chance" in page.inner_text("main")
    assert page.locator(".matrix td.wrong").count() == 3
    page.click("text=All versions")
    beyond = "all => all.filter(each => each.scrollWidth > each.clientWidth).length"
    assert page.locator(".scroll").evaluate_all(beyond) == 0
    page.click("text=Change it")
    page.select_option("#use-3", "shadow")
    page.fill("#traffic-why", SCRIPT)
    page.click("text=Set the traffic")
    page.wait_for_selector("text=The traffic is set.")

    deployment = site.workspace.storage.models.deployment("support")
    assert deployment is not None
    assert (deployment.shadows, deployment.actor) == ((3,), "ada")
    assert f"by ada: {SCRIPT}" in page.inner_text("main")


def test_a_signal_leads_to_its_texts_and_their_origin(open_page: OpenPage) -> None:
    """From an alert on drift, a person reaches the texts behind it, and where each came from."""
    page = open_page("/t/support/alerts")

    page.click("article:has-text('labels drifted') >> text=See the report")
    assert "instant, transfer, weekend" in page.inner_text("main")
    assert f"{SCRIPT} 0" in page.inner_text(".texts >> nth=0")
    assert faults(page) == []
    page.click(".texts a >> nth=0")

    origin = page.inner_text(".lineage")
    assert SCRIPT in origin
    assert "Version 2" in origin
    assert "classes: passed" in origin
    assert "train.csv (8,891 rows)" in origin
    assert f"{SCRIPT}.csv (9 rows)" in origin
    assert "No row has this text" in origin
    assert faults(page) == []


def test_a_prediction_leads_to_the_rows_with_its_text(
    open_page: OpenPage, site: ConsoleSite
) -> None:
    """Its lineage, on its task's page, ends in the rows that say the same, whatever their case."""
    now, predictions = system_clock(), site.workspace.storage.predictions
    found = map(predictions.get, predictions.ids(Span("support", now - timedelta(days=1), now)))
    prediction_id = next(each.prediction_id for each in found if each and each.text == TEXTS[0])
    page = open_page(f"/t/{PAIRS}/data/prediction?id={prediction_id}")  # goes to its own task
    assert page.url.endswith(f"/t/support/data/prediction?id={prediction_id}")
    assert TEXTS[0].upper() in page.inner_text(".lineage")


def test_excluded_rows_are_shown_with_their_reasons(open_page: OpenPage) -> None:
    """Each rule of a dataset version leads to its rows, page by page."""
    page = open_page(f"/t/support/data/{'2' * 64}")

    page.click("th >> text=duplicate")
    assert page.locator("tbody tr").count() == 30
    page.click("text=More rows")
    assert page.locator("tbody tr").count() == 10
    assert "train.csv:41" in page.inner_text("tbody tr >> nth=9")
    page.click(".badge >> text=text blank")
    assert page.inner_text("tbody td >> nth=2") == SCRIPT
