"""JSON Web Tokens."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
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
from tidemill_server.security.tokens import LEEWAY_SECONDS, MAX_LENGTH, MAX_REMEMBERED, Tokens


@pytest.fixture
def tokens(issuer: Issuer) -> Tokens:
    """Return tokens that accept the issuer."""
    return _opened(issuer, "https://id.example", "tidemill")


def _opened(issuer: Issuer, expected_issuer: str, audience: str) -> Tokens:
    jwks = str(issuer.jwks)
    opened = Tokens(AuthSettings(jwks=jwks, issuer=expected_issuer, audience=audience))
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


def test_an_expired_token(tokens: Tokens, issuer: Issuer) -> None:
    """After its time and the leeway it is TOKEN_EXPIRED; within the leeway it is valid."""
    now = int(time.time())
    assert tokens.find(issuer.token(exp=now - 1)).name == "shop"
    expired = issuer.token(exp=now - LEEWAY_SECONDS - 5)
    assert _refused(tokens, expired).reason == "TOKEN_EXPIRED"


def test_a_remembered_token_expires(issuer: Issuer) -> None:
    """A verified token is valid until it expires, and not longer."""
    now = [time.time()]
    tokens = Tokens(AuthSettings(jwks=str(issuer.jwks)), lambda: now[0])
    tokens.open()
    token = issuer.token()
    assert tokens.find(token) is tokens.find(token)
    now[0] += 600 + LEEWAY_SECONDS + 1
    assert _refused(tokens, token).reason == "TOKEN_EXPIRED"


def test_what_was_remembered_is_bounded(tokens: Tokens, issuer: Issuer) -> None:
    """Beyond the bound the oldest token is forgotten, and verified again when it is used."""
    first = issuer.token()
    caller = tokens.find(first)
    fillers = {number.to_bytes(4): (caller, time.time() + 60) for number in range(MAX_REMEMBERED)}
    tokens._remembered.update(fillers)
    tokens.find(issuer.token(sub="other"))
    assert len(tokens._remembered) == MAX_REMEMBERED + 1
    assert tokens.find(first) is not caller


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
        await until(lambda: _is_known(tokens, issuer.token()), "the new key is known", 20)
        await until(lambda: not _is_known(tokens, old), "the old key is refused", 20)
    assert _refused(tokens, old).reason == "UNKNOWN_SIGNING_KEY"


async def test_a_broken_file_leaves_the_keys(tokens: Tokens, issuer: Issuer) -> None:
    """The error is logged once, and tokens are accepted as before."""
    issuer.jwks.write_text("{")
    with capture_logs() as logged:
        async with _watching(tokens):
            await until(lambda: logged, "the broken file is logged", 20)
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
        Tokens(AuthSettings(jwks=str(path))).open()


@pytest.mark.parametrize("source", ["http://id.example/jwks", "file:///x", "/no/such/file"])
def test_a_source_that_is_none(source: str) -> None:
    """Neither an https URL nor an existing file: a ConfigurationError that names it."""
    with pytest.raises(ConfigurationError, match=source):
        Tokens(AuthSettings(jwks=source)).open()
