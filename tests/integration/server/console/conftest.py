"""A front with three weeks of history, and a browser that looks at it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.integration.server.asking_http import http
from tests.integration.server.console.history import PAIRS, TASK, write_history
from tests.integration.server.front import Front, Workspace
from tests.plugins.fake_triton import FakeTriton
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import Scope
from tidemill_core.storage.api_keys import NewApiKey

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)


OpenPage = Callable[..., Page]
"""Opens a page of the console for some scopes; all by default."""


class ConsoleSite:
    """A front that requires keys, with a workspace to look at."""

    def __init__(self, workspace: Workspace, front: Front) -> None:
        self.workspace = workspace
        self.front = front
        self.url = f"http://127.0.0.1:{front.http_port}/console"
        self.clients: list[httpx.Client] = []
        self._cookies: dict[frozenset[Scope], httpx.Cookies] = {}

    def cookies(self, *scopes: Scope) -> httpx.Cookies:
        """Return the cookies of a session, which tests share that do not end it."""
        wanted = frozenset(scopes)
        if wanted not in self._cookies:
            self._cookies[wanted] = self.signed_in(*scopes).cookies
        return self._cookies[wanted]

    def client(self) -> httpx.Client:
        """Return a client without a session; it is closed when its test ends."""
        self.clients.append(http(self.front))
        return self.clients[-1]

    def key(self, *scopes: Scope, tasks: tuple[str, ...] = (), name: str = "ada") -> str:
        """Make an API key."""
        new = NewApiKey(name, frozenset(scopes or Scope), frozenset(tasks))
        return self.workspace.storage.api_keys.create(new, system_clock())[1]

    def signed_in(self, *scopes: Scope, tasks: tuple[str, ...] = ()) -> httpx.Client:
        """Return a client with a session."""
        client = self.client()
        fields = {"csrf": csrf(client, "/sign-in"), "credential": self.key(*scopes, tasks=tasks)}
        assert client.post("/console/sign-in", data=fields).status_code == 303
        return client


def csrf(client: httpx.Client, path: str) -> str:
    """Return the CSRF token of a page's forms."""
    page = client.get(f"/console{path}").text
    return page.partition('name="csrf" value="')[2].partition('"')[0]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleSite]:
    """Yield a front with history."""
    folder = tmp_path_factory.mktemp("console")
    workspace = Workspace(folder, {TASK: 3})
    with (folder / "tidemill.toml").open("a") as settings:
        settings.write(f'\n[tasks.{PAIRS}]\nkind = "preference"\n')
    write_history(workspace, system_clock())
    required = {"TIDEMILL_AUTH__REQUIRED": "true"}
    with (
        FakeTriton() as triton,
        Front(workspace, triton.address, environment=required) as front,
    ):
        yield ConsoleSite(workspace, front)


@pytest.fixture(autouse=True)
def _closed_clients(site: ConsoleSite) -> Iterator[None]:
    yield
    while site.clients:
        site.clients.pop().close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield Chromium; it ends with its module, because its event loop would disturb others."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        options: dict[str, Any] = {"args": ["--no-sandbox"]}  # the tests may run as root
        running = playwright.chromium.launch(executable_path=CHROMIUM, **options)
        yield running
        running.close()


@pytest.fixture
def open_page(site: ConsoleSite, browser: Browser) -> Iterator[OpenPage]:
    """Yield a function that opens a page of the console; no page may log an error."""
    contexts, problems = [], []

    def opened(path: str, *scopes: Scope, dark: bool = False, width: int = 1280) -> Page:
        theme: Any = "dark" if dark else "light"
        context = browser.new_context(
            viewport={"width": width, "height": 860}, color_scheme=theme, base_url=site.url
        )
        contexts.append(context)
        for cookie in site.cookies(*scopes).jar:
            value = cookie.value or ""
            context.add_cookies(
                [{"name": cookie.name, "value": value, "url": site.url, "sameSite": "Strict"}]
            )
        page = context.new_page()
        page.on("console", lambda said: said.type == "error" and problems.append(said.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(f"{site.url}{path}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


AXE = (Path(__file__).parent / "axe.min.js").read_text()
"""axe-core (npm), which finds what people with disabilities could not use."""


def faults(page: Page) -> list[str]:
    """Return what axe finds serious or critical."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {each['nodes'][0]['html'][:200]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
    ]
