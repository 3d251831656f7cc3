"""The pictures of the console in these pages: `python -m docs.screenshots` makes them again.

They show a workspace with three weeks of made-up history, in the system's Chromium.
"""

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, sync_playwright

from tests.integration.server.console.history import TASK, write_history
from tests.integration.server.front import Front, Workspace
from tests.plugins.fake_triton import FakeTriton
from tidemill_core.clock import system_clock

IMAGES = Path(__file__).parent / "images"


class Picture(NamedTuple):
    """A picture of a page.

    Attributes:
        name: the file's name without its ending.
        path: the page's path.
        keys: the keys to press first.
        width: the window's width in pixels.
        height: the window's height.
        is_dark: whether the page is dark.
    """

    name: str
    path: str
    keys: Sequence[str] = ()
    width: int = 1280
    height: int = 860
    is_dark: bool = False


PICTURES = (
    Picture("console-loop", "", height=540),
    Picture("console-loop-phone", "", width=400, is_dark=True),
    Picture("console-quality", f"t/{TASK}/quality", is_dark=True),
    Picture("console-version", f"t/{TASK}/versions/5"),
    Picture("console-label", f"t/{TASK}/label", keys=("2",), height=560),
)


def main() -> int:
    """Make all pictures."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print("Chromium is missing: apt-get install chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder), {TASK: 3})
        write_history(workspace, system_clock(), script="gift card")
        with (
            FakeTriton() as triton,
            Front(workspace, triton.address) as front,
            sync_playwright() as playwright,
            playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]) as browser,
        ):
            for picture in PICTURES:
                _take(browser, f"http://127.0.0.1:{front.http_port}/console/", picture)
    return 0


def _take(browser: Browser, root: str, picture: Picture) -> None:
    page = browser.new_page(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme="dark" if picture.is_dark else "light",
    )
    page.goto(root + picture.path)
    for key in picture.keys:
        page.keyboard.press(key)
        page.wait_for_selector(".held")
    file = IMAGES / f"{picture.name}.png"
    page.screenshot(path=file)
    page.close()
    print(f"{file}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    sys.exit(main())
