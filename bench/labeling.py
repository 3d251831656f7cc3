"""The seconds that the console takes of an annotator's time for each label.

    python -m bench.labeling [--texts 50]

A browser labels texts with one key each, as an annotator does who needs no time to read. Exits with
1 if the software's share of a label is a second or more, since 50 labels in five minutes leave six
seconds for each.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from bench import end_on_sigterm
from tests.integration.server.console.history import TASK, write_history
from tests.integration.server.front import Front, Workspace
from tests.plugins.fake_triton import FakeTriton
from tidemill_core.clock import system_clock
from tidemill_core.domain.labeling import LabelItemState, LabelReason, LabelRequest
from tidemill_core.storage.database import Page as StoredPage

MAX_SECONDS = 1.0
_LABELED = "before => document.querySelector('#text')?.innerText !== before"


def main() -> int:
    """Label, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=50)
    count = parser.parse_args().texts
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("chromium is not installed: apt-get install chromium")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder), {TASK: 3})
        write_history(workspace, system_clock())
        _queue(workspace, count)
        with (
            FakeTriton() as triton,
            Front(workspace, triton.address) as front,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            already, page = _done(workspace), browser.new_page()
            page.goto(f"http://127.0.0.1:{front.http_port}/console/t/{TASK}/label")
            seconds = [_label(page, str(1 + number % 4)) for number in range(count)]
            page.goto(f"http://127.0.0.1:{front.http_port}/console/")  # stores the last one
            stored = _stored(workspace, already + count) - already
            browser.close()
    slowest, median = max(seconds), statistics.median(seconds)
    print(f"{count} texts labeled with {count} keys in {sum(seconds):.1f} s; {stored} are stored")
    print(f"a label takes {1000 * median:.0f} ms (median), {1000 * slowest:.0f} ms (slowest)")
    print(f"target: less than {MAX_SECONDS:g} s each")
    return 0 if slowest < MAX_SECONDS and stored == count else 1


def _queue(workspace: Workspace, count: int) -> None:
    now = system_clock()
    requests = [
        LabelRequest(TASK, f"My card {number} has not arrived", LabelReason.UNCERTAIN, now)
        for number in range(count)
    ]
    workspace.storage.label_items.add(requests, 1, now)


def _label(page: Page, key: str) -> float:
    """Label the text on the page, and return the seconds until the next one is there."""
    before = page.inner_text("#text")
    begin = time.perf_counter()
    page.keyboard.press(key)
    page.wait_for_function(_LABELED, arg=before)
    return time.perf_counter() - begin


def _stored(workspace: Workspace, wanted: int) -> int:
    """Return how many labels are stored, once that many are, or after some seconds."""
    end = time.monotonic() + 5
    while (found := _done(workspace)) < wanted and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _done(workspace: Workspace) -> int:
    done, _ = workspace.storage.label_items.page(
        TASK, [LabelItemState.DONE], None, StoredPage(size=1000), system_clock()
    )
    return len(done)


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
