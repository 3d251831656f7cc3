"""What people change on the pages of jobs, alerts and keys, in a real browser."""

from tests.integration.server.console.conftest import ConsoleSite, OpenPage, faults
from tests.integration.server.console.history import SCRIPT
from tidemill_core.domain.access import Scope
from tidemill_core.domain.feedback import HoldState
from tidemill_core.storage.database import Page as StoredPage


def test_a_run_is_started_and_stopped(open_page: OpenPage) -> None:
    """A person starts a job, sees its run, and stops it."""
    page = open_page("/t/support/jobs")
    page.on("dialog", lambda dialog: dialog.accept())

    page.click("[aria-label='Start check_feedback']")
    page.wait_for_selector("text=The run is queued.")
    assert faults(page) == []
    page.click("#stop")

    page.wait_for_selector("#run >> text=canceled")


def test_a_check_that_has_not_ended_changes_no_count(
    open_page: OpenPage, site: ConsoleSite
) -> None:
    """Loop shows the feedback that the last ended check counted, while the next one waits."""
    page = open_page("/t/support/jobs")
    page.click("[aria-label='Start check_feedback']")
    page.wait_for_selector("text=The run is queued.")

    page.goto(f"{site.url}/")

    page.wait_for_selector("#loop-support >> text=642 of 1,000")
    page.go_back()
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("#stop")
    page.wait_for_selector("#run >> text=canceled")


def test_an_alert_is_taken_and_silenced(open_page: OpenPage) -> None:
    """A person takes care of an alert, and holds new ones back."""
    page = open_page("/t/support/alerts")

    page.click("text=I take care of it >> nth=0")
    page.wait_for_selector("text=ada takes care of it")
    page.click("text=Silence alerts for a while")
    page.fill("#reason", f"a test {SCRIPT}")
    page.click("text=Silence them")

    assert "All alerts are silent" in page.inner_text("main")
    assert SCRIPT in page.inner_text("main")


def test_a_held_verdict_is_released(open_page: OpenPage, site: ConsoleSite) -> None:
    """A person reads why a verdict is held, and releases it."""
    page = open_page("/t/support/alerts")

    assert "contradict people's labels" in page.inner_text("main")
    # A source cannot pass for another by a character that turns the direction of its name.
    assert r"ap\u202ep" in page.inner_text("main")
    page.click("[value=release]")
    page.wait_for_selector("text=The verdict is reviewed.")

    [hold] = site.workspace.storage.feedback_holds.all_of("support")
    assert (hold.state, hold.actor) == (HoldState.RELEASED, "ada")


def test_evidently_runs_in_a_sandbox(open_page: OpenPage) -> None:
    """Evidently's page is shown in a frame whose scripts run without the session's cookie."""
    page = open_page("/t/support/quality")

    page.click("text=Evidently's report")
    frame = page.frame_locator("iframe")
    assert frame.locator("h1").inner_text() == "Evidently"
    assert "no cookie" in frame.locator("body").inner_text()
    with page.expect_popup() as opened:
        page.click("#evidently-alone")
    assert opened.value.inner_text("h1") == "Evidently"
    assert "no cookie" in opened.value.inner_text("body")


def test_a_key_is_made_shown_once_and_revoked(open_page: OpenPage, site: ConsoleSite) -> None:
    """An admin makes a key, which is shown once, and revokes it; the trail shows who did it."""
    page = open_page("/keys")
    page.on("dialog", lambda dialog: dialog.accept())

    page.click("text=Make a key")
    page.fill("#name", SCRIPT)
    page.check("[name=scope_label]")
    page.check("[name=task_support]")
    page.click("text=Make the key")
    shown = page.input_value("#new-key")
    page.goto(f"{site.url}/keys")

    assert shown not in page.content()
    [made] = [each for each in site.workspace.storage.api_keys.list_all() if each.name == SCRIPT]
    assert made.scopes == {Scope.PREDICT, Scope.LABEL}
    assert made.tasks == {"support"}
    page.click(f"[aria-label$='{made.key_id}']")
    page.wait_for_selector("text=The key is revoked.")
    assert page.locator("tr:has-text('CreateApiKey') >> text=ada").count() == 1
    [record], _ = site.workspace.storage.audit.page("", "ada", StoredPage(size=1))
    assert record.method.endswith("/RevokeApiKey")


def test_a_link_in_a_mail_leads_to_its_page(open_page: OpenPage, site: ConsoleSite) -> None:
    """A link on another site's page opens the page, with the session of the browser."""
    page = open_page("/")

    page.goto(f"data:text/html,<a href='{site.url}/t/support/alerts'>alert</a>")
    page.click("text=alert")

    page.wait_for_selector("h1:has-text('Alerts')")
