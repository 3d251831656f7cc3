"""Who may see the console: sessions, CSRF, other sites, scopes."""

import httpx
import pytest

from tests.integration.server.console.conftest import ConsoleSite, csrf
from tests.plugins.waiting import wait_until
from tidemill_core.clock import system_clock
from tidemill_core.domain.access import Scope


def test_a_key_opens_a_session(site: ConsoleSite) -> None:
    """Pages lead to the sign-in form until a key opens a session, which scripts cannot read."""
    client = site.client()

    assert client.get("/").headers["location"] == "/console/"
    assert client.get("/console/").headers["location"] == "/console/sign-in"
    refused = client.post(
        "/console/sign-in", data={"csrf": csrf(client, "/sign-in"), "credential": "tm_wrong"}
    )
    assert refused.status_code == 401
    assert "unknown or revoked" in refused.text
    fields = {"csrf": csrf(client, "/sign-in"), "credential": site.key()}
    answer = client.post("/console/sign-in", data=fields)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert fields["credential"].partition("_")[2] not in cookie
    assert client.get("/console/").status_code == 200
    client.post("/console/sign-out", data={"csrf": csrf(client, "/")})
    assert client.get("/console/").status_code in (302, 303, 307)


def test_a_revoked_key_ends_its_sessions(site: ConsoleSite) -> None:
    """Once a key is revoked, its sessions lead to the sign-in form."""
    client, shown = site.client(), site.key()
    fields = {"csrf": csrf(client, "/sign-in"), "credential": shown}
    client.post("/console/sign-in", data=fields)

    site.workspace.storage.api_keys.revoke(shown.split("_")[1], system_clock())

    wait_until(lambda: client.get("/console/").is_redirect, "the session has ended")


def test_a_link_of_another_site_ends_no_session(site: ConsoleSite) -> None:
    """A link from elsewhere comes without the cookie: the page asks again, the session stays."""
    client, stranger = site.signed_in(), site.client()
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}

    first = stranger.get("/console/", headers=link)
    assert 'http-equiv="refresh"' in first.text
    assert "set-cookie" not in first.headers
    form = stranger.get("/console/sign-in")
    [visitor] = stranger.cookies.jar
    client.cookies.set(visitor.name, str(visitor.value))

    assert form.status_code == 200
    assert client.get("/console/").status_code == 200


@pytest.mark.parametrize(
    ("headers", "fields", "status"),
    [
        ({}, {}, 400),
        ({}, {"csrf": "f" * 64}, 400),
        ({"origin": "https://evil.example"}, None, 403),
        ({"host": "evil.example"}, None, 403),
    ],
)
def test_forms_of_other_sites_are_refused(
    site: ConsoleSite, headers: dict[str, str], fields: dict[str, str] | None, status: int
) -> None:
    """A form without its session's CSRF token, or of another site's page, does nothing."""
    client = site.signed_in()
    token = {"csrf": csrf(client, "/")}

    answer = client.post("/console/name", data=token if fields is None else fields, headers=headers)

    assert answer.status_code == status


def test_every_answer_has_the_headers_that_protect_pages(site: ConsoleSite) -> None:
    """No page runs inline scripts, loads from elsewhere, is framed or cached; errors neither."""
    client = site.signed_in()

    for answer in (client.get("/console/"), client.get("/console/nothing"), _csrf_less(client)):
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
    page = client.get("/console/").text
    assert " style=" not in page
    assert "<script>" not in page
    [style] = [each for each in page.split('"') if "/static/console.css" in each]
    assert "immutable" in client.get(style).headers["cache-control"]
    assert client.get("/console/static/..%2fapp.py").status_code == 404


def _csrf_less(client: httpx.Client) -> httpx.Response:
    return client.post("/console/sign-out", data={})


def test_a_page_that_follows_is_refused_like_any_other(site: ConsoleSite) -> None:
    """A stream needs its scope, and leads who is signed out to the sign-in; a form shows why."""
    client = site.signed_in(Scope.LABEL)
    script, stream = {"hx-request": "true"}, {"accept": "text/event-stream"}

    assert client.get("/console/loop", headers=stream).status_code == 403
    fields = {"csrf": csrf(client, "/sign-in")}
    refused = client.post("/console/t/support/jobs/start", data=fields, headers=script)
    assert refused.status_code == 403
    assert refused.headers["hx-retarget"] == "#main"
    fields |= {"held_item": "nothing", "held_label": "card", "item": "x", "label": "card"}
    page = client.post("/console/t/support/label", data=fields, headers=script)
    assert page.status_code == 200
    assert "The label before was not stored" in page.text
    client.cookies.clear()
    signed_out = client.get("/console/loop", headers=stream)
    assert signed_out.text == "event: sign-in\ndata: /console/sign-in\n\n"
    asked = client.get("/console/t/support/label", headers=script)
    assert asked.headers["hx-redirect"] == "/console/sign-in"


def test_a_stream_ends_with_the_key_of_its_session(site: ConsoleSite) -> None:
    """Once the key is revoked, the stream of a page ends by itself."""
    client = site.signed_in()
    with client.stream("GET", "/console/loop", timeout=20) as stream:
        parts = stream.iter_lines()
        assert next(parts) == "event: part"
        keys = site.workspace.storage.api_keys
        keys.revoke(keys.list_all()[0].key_id, system_clock())  # the newest, this session's
        assert "loop-support" in "".join(parts)


def test_pages_obey_scopes(site: ConsoleSite) -> None:
    """A caller without a scope neither sees the page's name nor gets the page."""
    client = site.signed_in(Scope.PREDICT)

    first = client.get("/console/", follow_redirects=True)
    assert first.url.path.endswith("/try")
    assert ">Versions<" not in first.text
    assert client.get("/console/loop").status_code == 403


def test_a_caller_of_some_tasks_sees_only_those(site: ConsoleSite) -> None:
    """A key for one task neither shows the others nor makes keys, whatever its scopes."""
    client = site.signed_in(tasks=("support",))

    first = client.get("/console/")
    assert "loop-support" in first.text
    assert "loop-answers" not in first.text
    assert client.get("/console/t/answers/versions").status_code == 403
    made = client.post("/console/keys", data={"csrf": csrf(client, "/"), "name": "eve"})
    assert made.status_code == 403
    assert "may use only support" in client.get("/console/keys").text
