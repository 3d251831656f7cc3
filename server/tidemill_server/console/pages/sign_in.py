"""Signing in with an API key or a token, and out."""

from starlette.responses import RedirectResponse, Response

from tidemill_core.errors import Unauthenticated
from tidemill_server.console.navigation import ROOT
from tidemill_server.console.routes import get, keep, post
from tidemill_server.console.session import MAX_CREDENTIAL_LENGTH, new_session, renamed
from tidemill_server.console.visit import Visit
from tidemill_server.security.gatekeeper import MalformedCredential, MissingCredential

MAX_NAME_LENGTH = 200


async def show(visit: Visit) -> Response:
    """Show the form."""
    return visit.show("sign_in.html", error="")


async def sign_in(visit: Visit) -> Response:
    """Sign in, or say why not."""
    credential = visit.form.get("credential", "").strip()
    session = new_session(credential)
    try:
        if not credential:
            raise MissingCredential("enter an API key")
        if len(credential) > MAX_CREDENTIAL_LENGTH:
            raise MalformedCredential("this is too long for an API key")
        await visit.console.pipeline.gatekeeper.identify(session.metadata)
    except Unauthenticated as error:
        return visit.show("sign_in.html", 401, error=str(error))
    response = RedirectResponse(f"{ROOT}/", 303)
    keep(response, visit.console, visit.request, session)
    return response


async def sign_out(visit: Visit) -> Response:
    """Forget the browser."""
    response = RedirectResponse(f"{ROOT}/sign-in", 303)
    response.delete_cookie(visit.console.sessions.cookie, path=ROOT, httponly=True)
    return response


async def name(visit: Visit) -> Response:
    """Set the name under which an unauthenticated person labels."""
    annotator = visit.form.get("annotator", "").strip()[:MAX_NAME_LENGTH]
    response = visit.go(f"{ROOT}/t/{visit.form.get('task', '')}/label")
    keep(response, visit.console, visit.request, renamed(visit.session, annotator))
    return response


ROUTES = (
    get("/sign-in", show, is_open=True),
    post("/sign-in", sign_in, is_open=True),
    post("/sign-out", sign_out, is_open=True),
    post("/name", name),
)
