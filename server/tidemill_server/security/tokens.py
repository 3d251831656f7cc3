"""JSON Web Tokens (RFC 7519), with which an identity provider authenticates callers."""

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
"""Bound on a token's characters."""
LEEWAY_SECONDS = 10
"""How far the issuer's clock may be ahead of this one."""
_SCOPES = {str(scope): scope for scope in Scope}
_OPTIONS: Any = {"require": ["exp", "aud", "sub"], "enforce_minimum_key_length": True}


class InvalidToken(Unauthenticated):
    """A token that cannot be accepted."""

    def __init__(self, why: str) -> None:
        super().__init__("INVALID_TOKEN", f"the token cannot be accepted: {why}")


class TokenExpired(Unauthenticated):
    """A token that has expired."""

    def __init__(self) -> None:
        super().__init__("TOKEN_EXPIRED", "the token has expired")


class Tokens:
    """The callers by token.

    To verify a token takes about 100 microseconds and never blocks. A token with an unknown signing
    key is refused, and the key is fetched in the background.

    Args:
        settings: the source of the keys, the required `iss` and `aud`, and the bound on `exp`;
            `jwks` is not empty.
        on_change: called after the keys were read again.
        now: returns the Unix time in seconds, for `exp`.
    """

    def __init__(
        self,
        settings: AuthSettings,
        on_change: Callable[[], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._on_change = on_change
        self._now = now
        self._keys = SigningKeys(settings.jwks)

    def open(self) -> None:
        """Read the keys for the first time.

        Raises:
            ConfigurationError: `auth.jwks` cannot be used.
        """
        self._keys.open()

    async def watch(self) -> None:
        """Refresh the keys forever; tokens with a removed key are then refused."""
        await self._keys.watch(self._on_change)

    def find(self, token: str) -> Caller:
        """Return the caller whom a token names.

        Raises:
            InvalidToken: it cannot be verified, or its claims are wrong.
            TokenExpired: it has expired.
            Unauthenticated: UNKNOWN_SIGNING_KEY.
        """
        claims = self._verified(token)
        return _caller(claims, self._expires(claims))

    def _expires(self, claims: Mapping[str, Any]) -> int:
        """Return `exp`, in Unix seconds; the library has checked that it is a number."""
        expires, hours = int(claims["exp"]), self._settings.max_token_hours
        if expires <= self._now():
            raise TokenExpired
        if expires > self._now() + hours * 3600 + LEEWAY_SECONDS:
            raise InvalidToken(f"exp is more than auth.max_token_hours away ({hours:g} h)")
        return expires

    def _verified(self, token: str) -> Mapping[str, Any]:
        if len(token) > MAX_LENGTH:
            raise InvalidToken(f"it is longer than {MAX_LENGTH} characters")
        if token.count(".") != 2:
            raise InvalidToken("it is neither an API key nor a JWT")
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = self._keys.find(key_id)
            if key is None:
                message = "the token's signing key is not known yet; try again in a few seconds"
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
            # Errors that the library does not convert, for odd content or too short a key.
            raise InvalidToken("it cannot be verified") from error


def _caller(claims: Mapping[str, Any], expires: float) -> Caller:
    """Return the caller whom verified claims describe.

    `scope` lists scopes, separated by spaces (RFC 8693); unknown ones are ignored. `tasks` lists
    the tasks that the caller may use; without it, the caller may use all.
    """
    name, scope, tasks = claims["sub"], claims.get("scope", ""), claims.get("tasks")
    if not is_caller_name(name):
        raise InvalidToken("sub must have 1 to 200 characters, and no control characters")
    if not isinstance(scope, str):
        raise InvalidToken("scope must be a string of scopes, separated by spaces")
    if tasks is not None and not _is_list_of_names(tasks):
        raise InvalidToken("tasks must be a list of one or more task names")
    return Caller(
        name=name,
        authentication=Authentication.TOKEN,
        scopes=frozenset(_SCOPES[word] for word in scope.split() if word in _SCOPES),
        tasks=frozenset(tasks or ()),
        requests_per_second=None,
        caller_id=f"token:{name}",
        expires=expires,
    )


def _is_list_of_names(value: object) -> bool:
    """Return whether a value is a list of names; an empty one is not, as it would allow all."""
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) for v in value)
