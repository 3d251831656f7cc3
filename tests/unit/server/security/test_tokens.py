"""JSON Web Tokens."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import math
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.plugins.waiting import until
from tests.unit.server.security.issuer import Issuer
from tidemill_core.domain.access import Scope
from tidemill_core.errors import ConfigurationError, Unauthenticated
from tidemill_core.settings import AuthSettings
from tidemill_server.security.tokens import LEEWAY_SECONDS, MAX_LENGTH, Tokens


@pytest.fixture
def tokens(issuer: Issuer) -> Tokens:
    """Return tokens that accept the issuer."""
    return _opened(issuer, "https://id.example", "tidemill")


def _ignored() -> None:
    """Do nothing when keys change."""


def _opened(issuer: Issuer, expected_issuer: str, audience: str) -> Tokens:
    jwks = str(issuer.jwks)
    opened = Tokens(AuthSettings(jwks=jwks, issuer=expected_issuer, audience=audience), _ignored)
    opened.open()
    return opened


def _refused(tokens: Tokens, token: str) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refused:
        tokens.find(token)
    assert token not in str(refused.value)
    return refused.value


def test_claims_make_the_caller(tokens: Tokens, issuer: Issuer) -> None:
    """The subject is the caller's name; unknown scopes are ignored."""
    caller = tokens.find(issuer.token(scope="openid admin  predict", tasks=["support"]))
    assert (caller.name, caller.tasks) == ("shop", {"support"})
    assert caller.scopes == {Scope.ADMIN, Scope.PREDICT}
    nothing = tokens.find(issuer.token(scope=None))
    assert (nothing.scopes, nothing.tasks) == (frozenset(), frozenset())


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": None},
        {"exp": "soon"},
        {"exp": [1]},
        {"exp": math.inf},
        {"exp": math.nan},
        {"nbf": int(time.time()) + 3600},
        {"iat": int(time.time()) + 3600},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "x" * 201},
        {"scope": ["predict"]},
        {"tasks": []},
        {"tasks": "support"},
        {"tasks": [1]},
    ],
)
def test_a_claim_that_is_wrong_or_missing(
    tokens: Tokens, issuer: Issuer, claims: dict[str, Any]
) -> None:
    """The token is refused as INVALID_TOKEN, every time."""
    token = issuer.token(**claims)
    assert _refused(tokens, token).reason == "INVALID_TOKEN"
    assert _refused(tokens, token).reason == "INVALID_TOKEN"


def test_any_issuer_where_none_is_set(issuer: Issuer) -> None:
    """Without `auth.issuer`, `iss` is not checked; the audience is."""
    tokens = _opened(issuer, "", "mill")
    assert tokens.find(issuer.token(iss=None, aud=["mill", "x"])).name == "shop"
    assert _refused(tokens, issuer.token(iss=None)).reason == "INVALID_TOKEN"


@pytest.mark.parametrize("token", ["garbage", "tm-0a1b", "a.b", "a.b.c.d"])
def test_what_is_no_token_is_called_so(tokens: Tokens, token: str) -> None:
    """A mistyped key is not explained with the parts of a token."""
    assert "it is neither an API key nor a JWT" in str(_refused(tokens, token))


def test_an_expired_token(issuer: Issuer) -> None:
    """From its `exp` on it is TOKEN_EXPIRED, without leeway."""
    now = [time.time()]
    tokens = Tokens(AuthSettings(jwks=str(issuer.jwks)), _ignored, lambda: now[0])
    tokens.open()
    token = issuer.token(exp=int(now[0]) + 60)
    assert tokens.find(token).name == "shop"
    now[0] += 60
    assert _refused(tokens, token).reason == "TOKEN_EXPIRED"
    for exp in (int(time.time()) - 1, int(time.time()) - 60, 0, -1):
        assert _refused(tokens, issuer.token(exp=exp)).reason == "TOKEN_EXPIRED"


@pytest.mark.parametrize("hours", [0.5, 24, 100])
def test_a_token_for_too_long(issuer: Issuer, hours: float) -> None:
    """An `exp` beyond `auth.max_token_hours` is refused, also one beyond all bounds."""
    settings = AuthSettings(jwks=str(issuer.jwks), max_token_hours=hours)
    tokens = Tokens(settings, _ignored)
    tokens.open()
    end = int(time.time() + hours * 3600)
    assert tokens.find(issuer.token(exp=end)).expires == end
    for exp in (end + LEEWAY_SECONDS + 60, end * 2, 10**18, 1e308, str(end * 2)):
        refused = _refused(tokens, issuer.token(exp=exp))
        assert refused.reason == "INVALID_TOKEN"
        assert f"{hours:g} h" in str(refused)


def test_another_s_signature(tokens: Tokens, tmp_path: Path) -> None:
    """A token that was signed with another key of the same id is refused."""
    assert _refused(tokens, Issuer(tmp_path / "evil.json").token()).reason == "INVALID_TOKEN"


def _encoded(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_algorithms_that_anybody_could_sign_with(tokens: Tokens, issuer: Issuer) -> None:
    """`none`, and an HMAC with the public key as its secret, are refused."""
    claims = issuer.token().split(".")[1]
    unsigned = f"{_encoded({'alg': 'none', 'kid': 'first'})}.{claims}."
    head = f"{_encoded({'alg': 'HS256', 'kid': 'first'})}.{claims}"
    digest = hmac.new(issuer.jwks.read_bytes(), head.encode(), hashlib.sha256).digest()
    for forged in (unsigned, f"{head}.{_encoded(digest)}"):
        assert _refused(tokens, forged).reason == "INVALID_TOKEN"


@pytest.mark.parametrize(
    "token", ["", "a", "a.b.c", "..", "e30.e30.e30", "x" * (MAX_LENGTH + 1), "bnVsbA.bnVsbA.x"]
)
def test_what_is_no_token(tokens: Tokens, token: str) -> None:
    """Garbage of any length is refused."""
    with pytest.raises(Unauthenticated):
        tokens.find(token)


def test_deeply_nested_claims(tokens: Tokens) -> None:
    """A token that would overflow the parser's stack is refused."""
    header = _encoded({"alg": "ES256", "kid": "first"})
    nested = b'{"a":' + b"[" * 4000
    for token in (f"{header}.{_encoded(nested)}.e30", f"{_encoded(nested)}.e30.e30"):
        assert _refused(tokens, token).reason == "INVALID_TOKEN"


def _is_known(tokens: Tokens, token: str) -> bool:
    with contextlib.suppress(Unauthenticated):
        return tokens.find(token).name == "shop"
    return False


@contextlib.asynccontextmanager
async def _watching(tokens: Tokens) -> AsyncIterator[None]:
    """Watch for new keys."""
    watching = asyncio.create_task(tokens.watch())
    try:
        yield
        assert not watching.done()
    finally:
        watching.cancel()


async def test_keys_are_replaced_while_it_runs(tokens: Tokens, issuer: Issuer) -> None:
    """A new key is used soon after the file has it, and tokens of the old one are refused."""
    old = issuer.token()
    assert tokens.find(old).name == "shop"
    issuer.rotate("second")
    assert _refused(tokens, issuer.token()).reason == "UNKNOWN_SIGNING_KEY"
    async with _watching(tokens):
        await until(lambda: _is_known(tokens, issuer.token()), "the new key is known")
        await until(lambda: not _is_known(tokens, old), "the old key is refused")
    assert _refused(tokens, old).reason == "UNKNOWN_SIGNING_KEY"


async def test_a_broken_file_leaves_the_keys(tokens: Tokens, issuer: Issuer) -> None:
    """The error is logged once, and tokens are accepted as before."""
    issuer.jwks.write_text("{")
    with capture_logs() as logged:
        async with _watching(tokens):
            await until(lambda: logged, "the broken file is logged")
            await asyncio.sleep(0.7)  # longer than it takes to look again
    assert [entry["event"] for entry in logged] == ["jwks_not_read"]
    assert tokens.find(issuer.token()).name == "shop"


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]}', "\xff"],
)
def test_a_file_without_usable_keys(tmp_path: Path, content: str) -> None:
    """At the start it is a ConfigurationError that names the file, also for shared secrets."""
    path = tmp_path / "jwks.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(ConfigurationError, match=str(path)):
        Tokens(AuthSettings(jwks=str(path)), _ignored).open()


def test_a_file_that_does_not_exist() -> None:
    """A file that does not exist is a ConfigurationError that names it."""
    with pytest.raises(ConfigurationError, match="/no/such/file"):
        Tokens(AuthSettings(jwks="/no/such/file"), _ignored).open()
