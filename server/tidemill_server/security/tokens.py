"""JSON Web Tokens (RFC 7519): callers that an identity provider vouches for."""

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt
from jwt.exceptions import ExpiredSignatureError, InvalidTokenError, PyJWTError

from tidemill_core.domain.access import Authentication, Caller, Scope, is_caller_name
from tidemill_core.errors import Unauthenticated
from tidemill_core.settings import AuthSettings
from tidemill_server.security.jwks import ALGORITHMS, SigningKeys

MAX_LENGTH = 8192
"""Characters of a token."""
MAX_REMEMBERED = 10_000
"""Verified tokens in memory; beyond it the longest known is verified again when it comes back."""
LEEWAY_SECONDS = 10
"""How far the issuer's clock may be from ours."""
_SCOPES = {str(scope): scope for scope in Scope}
_OPTIONS: Any = {"require": ["exp", "aud", "sub"], "enforce_minimum_key_length": True}


class InvalidToken(Unauthenticated):
    """A token that cannot be accepted."""

    def __init__(self, why: str) -> None:
        super().__init__("INVALID_TOKEN", f"the token cannot be accepted: {why}")


class TokenExpired(Unauthenticated):
    """A token whose time is over."""

    def __init__(self) -> None:
        super().__init__("TOKEN_EXPIRED", "the token has expired")


class Tokens:
    """Knows callers by their tokens.

    The first time that a token is shown it is verified, which takes some 100 microseconds and
    never waits: a token whose key is not known yet is refused, and the key is looked for in the
    background. After that it is remembered until it expires, or the keys change.

    Args:
        settings: where the keys are, and what `iss` and `aud` must say; `jwks` is not empty.
        now: the Unix time in seconds, for tokens that are remembered.
    """

    def __init__(self, settings: AuthSettings, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._now = now
        self._keys = SigningKeys(settings.jwks)
        self._remembered: dict[bytes, tuple[Caller, float]] = {}

    def open(self) -> None:
        """Read the keys for the first time.

        Raises:
            ConfigurationError: `auth.jwks` names no JWKS.
        """
        self._keys.open()

    async def watch(self) -> None:
        """Keep the keys fresh for ever; whoever's key is gone is then refused."""
        await self._keys.watch(self._remembered.clear)

    def find(self, token: str) -> Caller:
        """Whose token it is.

        Raises:
            InvalidToken: it cannot be verified, or its claims are not ours.
            TokenExpired: its time is over.
            Unauthenticated: UNKNOWN_SIGNING_KEY.
        """
        digest = hashlib.sha256(token.encode()).digest()
        remembered = self._remembered.get(digest)
        if remembered is not None:
            caller, expires = remembered
            if self._now() < expires:
                return caller
            del self._remembered[digest]
            raise TokenExpired
        claims = self._verified(token)
        caller = _caller(claims)
        if len(self._remembered) >= MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[digest] = caller, claims["exp"] + LEEWAY_SECONDS
        return caller

    def _verified(self, token: str) -> Mapping[str, Any]:
        if len(token) > MAX_LENGTH:
            raise InvalidToken(f"it is longer than {MAX_LENGTH} characters")
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = self._keys.find(key_id)
            if key is None:
                message = "the token's signing key is not known (yet): try again in some seconds"
                raise Unauthenticated("UNKNOWN_SIGNING_KEY", message)
            return jwt.decode(
                token,
                key,
                algorithms=sorted(ALGORITHMS),
                audience=self._settings.audience,
                issuer=self._settings.issuer or None,
                leeway=LEEWAY_SECONDS,
                options=_OPTIONS,
            )
        except ExpiredSignatureError as error:
            raise TokenExpired from error
        except InvalidTokenError as error:
            raise InvalidToken(str(error)) from error
        except (PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            # What the library lets through of a token's own content, or of too short a key.
            raise InvalidToken("it cannot be verified") from error


def _caller(claims: Mapping[str, Any]) -> Caller:
    """The caller that verified claims describe.

    `scope` names scopes with spaces between (RFC 8693); those that are not ours are passed over.
    `tasks`, where it is there, lists the tasks that the caller may use.
    """
    name, scope, tasks = claims["sub"], claims.get("scope", ""), claims.get("tasks")
    if not is_caller_name(name):
        raise InvalidToken("sub must have 1 to 200 characters, and no control characters")
    if not isinstance(scope, str):
        raise InvalidToken("scope must be a string, with spaces between the scopes")
    if tasks is not None and not _is_list_of_names(tasks):
        raise InvalidToken("tasks must be a list of one or more tasks' names")
    return Caller(
        name=name,
        authentication=Authentication.TOKEN,
        scopes=frozenset(_SCOPES[word] for word in scope.split() if word in _SCOPES),
        tasks=frozenset(tasks or ()),
        requests_per_second=None,
        caller_id=f"token:{name}",
    )


def _is_list_of_names(value: object) -> bool:
    """An empty list is none: it would read as every task."""
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)
