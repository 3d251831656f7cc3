"""The sessions of browsers: a cookie that only the server can read, and no table.

The cookie holds the caller's API key or token, encrypted, because every page asks the services with
it. So a revoked key ends its sessions at once, in every worker.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from cryptography.fernet import Fernet, InvalidToken

_PURPOSE = b"tidemill: sessions of the console"
SESSION_SECONDS = 12 * 3600
"""How long a browser stays signed in."""
MAX_CREDENTIAL_LENGTH = 2500
"""Browsers keep cookies of up to 4,096 bytes; encryption adds a third."""


@dataclass(frozen=True)
class Session:
    """What the server keeps about a browser.

    Attributes:
        nonce: random; the session's CSRF token is made from it.
        credential: the API key or token of the person; empty without a sign-in.
        annotator: the name under which an unauthenticated person labels.
    """

    nonce: str
    credential: str = ""
    annotator: str = ""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata of calls for this session."""
        return (("authorization", f"Bearer {self.credential}"),) if self.credential else ()


def new_session(credential: str = "") -> Session:
    """Return a new session."""
    return Session(secrets.token_urlsafe(16), credential)


def renamed(session: Session, annotator: str) -> Session:
    """Return a session with another annotator's name."""
    return replace(session, annotator=annotator)


class Sessions:
    """Cookies and CSRF tokens.

    Args:
        key: 32 bytes in URL-safe base64.
    """

    def __init__(self, key: str) -> None:
        self._fernet = Fernet(key)
        self._key = key.encode()
        # Browsers send cookies to all ports of a host: two stacks need two names.
        self.cookie = f"tidemill_{hashlib.sha256(self._key).hexdigest()[:8]}"
        self._cookies = (self.cookie, f"{self.cookie}_visitor")

    def cookie_of(self, session: Session) -> str:
        """Return the name of a session's cookie; a visitor's replaces no session of a person."""
        return self.cookie if session.credential else f"{self.cookie}_visitor"

    def of(self, cookies: Mapping[str, str]) -> Session | None:
        """Return the session of a browser: the person's who signed in, or else the visitor's."""
        found = (self.opened(cookies.get(name, "")) for name in self._cookies)
        return next((session for session in found if session is not None), None)

    def sealed(self, session: Session) -> str:
        """Return a session as a cookie's value."""
        return self._fernet.encrypt(json.dumps(asdict(session)).encode()).decode()

    def opened(self, cookie: str) -> Session | None:
        """Return the session of a cookie's value; None if it is not ours or too old."""
        try:
            return Session(**json.loads(self._fernet.decrypt(cookie, SESSION_SECONDS)))
        except (InvalidToken, ValueError, TypeError):
            return None

    def csrf_token(self, session: Session) -> str:
        """Return what a form of the session's pages sends back."""
        return hmac.digest(self._key, f"csrf {session.nonce}".encode(), hashlib.sha256).hex()

    def is_csrf_token(self, session: Session, shown: str) -> bool:
        """Return whether a form comes from a page of the session."""
        return hmac.compare_digest(self.csrf_token(session).encode(), shown.encode())


def sessions_of(signing_keys: Mapping[int, bytes]) -> Sessions:
    """Return the sessions of the servers that sign prediction ids with the same keys."""
    key = hmac.digest(signing_keys[max(signing_keys)], _PURPOSE, hashlib.sha256)
    return Sessions(base64.urlsafe_b64encode(key).decode())
