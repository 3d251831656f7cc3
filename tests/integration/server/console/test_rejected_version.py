"""A version that a person refuses in the console."""

from tests.integration.server.console.conftest import ConsoleSite, OpenPage
from tidemill_core.clock import system_clock
from tidemill_core.domain.model import ModelState


def test_a_version_that_waits_is_rejected_with_a_reason(
    open_page: OpenPage, site: ConsoleSite
) -> None:
    """The form needs a reason; the version then has it, and answers no one."""
    models, now = site.workspace.storage.models, system_clock()
    number = models.add_candidate("support", "onnx", "d" * 64, now).version
    models.judge("support", number, ModelState.AWAITING_APPROVAL, {}, "passed the gates", now)
    page = open_page(f"/t/support/versions/{number}")
    page.on("dialog", lambda dialog: dialog.accept())
    form = f"form[action$='/{number}/reject']"

    page.click(f"{form} button")
    assert models.get("support", number).state is ModelState.AWAITING_APPROVAL
    page.fill(f"{form} [name=comment]", "worse on refunds")
    page.click(f"{form} button")
    page.wait_for_selector("text=The version is rejected: it answers no one.")

    rejected = models.get("support", number)
    assert (rejected.state, rejected.reason) == (
        *(ModelState.REJECTED, "rejected by ada: worse on refunds"),
    )
