"""The check of every call's caller. A remembered credential costs less than a microsecond."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass

from tidemill_core.domain.access import ANONYMOUS, NOBODY, Caller
from tidemill_core.errors import PermissionDenied, ResourceExhausted, Unauthenticated
from tidemill_core.prediction_id import PredictionIdSigner
from tidemill_core.storage.api_keys import PREFIX
from tidemill_server.security.api_keys import ApiKeys, UnknownApiKey
from tidemill_server.security.policy import NOT_LISTED, POLICY, task_of
from tidemill_server.security.rate_limits import RateLimits
from tidemill_server.security.tokens import Tokens

HEADER = "authorization"
MAX_REMEMBERED = 4096
"""Bound on the credentials in memory; beyond it, the oldest one is forgotten."""


class MissingCredential(Unauthenticated):
    """A call, or a form, without a credential."""

    def __init__(self, message: str) -> None:
        super().__init__("MISSING_CREDENTIAL", message)


class MalformedCredential(Unauthenticated):
    """A credential that is neither a key's nor a token's, or is given twice."""

    def __init__(self, message: str) -> None:
        super().__init__("MALFORMED_CREDENTIAL", message)


@dataclass(frozen=True)
class Gatekeeper:
    """The check of who calls, and what a caller may do.

    Attributes:
        api_keys: the callers by API key.
        tokens: the callers by token; None if tokens are not accepted.
        rate_limits: how often callers may call.
        signer: returns the task of a prediction id.
        remembered: the callers by the header that identified them. Whoever changes keys clears it.
        now: returns the Unix time in seconds.
        is_required: whether a call without a credential is refused. A credential is always checked.
    """

    api_keys: ApiKeys
    tokens: Tokens | None
    rate_limits: RateLimits
    signer: PredictionIdSigner
    remembered: dict[str | bytes, Caller]
    now: Callable[[], float] = time.time
    _: KW_ONLY
    is_required: bool

    async def admit(self, method: str, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
        """Admit a call and return its caller.

        This waits only for an unknown API key, which may be new, to be looked up. A token with an
        unknown signing key is refused immediately, and the key is fetched in the background.

        Args:
            method: the method's path, such as `/tidemill.v1.PredictionService/Predict`.
            metadata: the caller's metadata.

        Raises:
            Unauthenticated: the credential is missing or wrong.
            PermissionDenied: MISSING_SCOPE.
            ResourceExhausted: RATE_LIMITED.
            ApiKeyNotLookedUp: the API key is unknown, and the database is away.
        """
        try:
            caller = self.authorize(method, metadata)
        except UnknownApiKey as unknown:
            await self.api_keys.look_up(unknown.key_id)
            caller = self.authorize(method, metadata)
        self.rate_limits.take(caller)
        return caller

    async def identify(self, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
        """Return who calls; waits like `admit` for an unknown API key to be looked up.

        Raises:
            Unauthenticated: the credential is missing or wrong.
            ApiKeyNotLookedUp: the API key is unknown, and the database is away.
        """
        try:
            return self._caller(metadata)
        except UnknownApiKey as unknown:
            await self.api_keys.look_up(unknown.key_id)
            return self._caller(metadata)

    def remembered_caller(self, metadata: Iterable[tuple[str, str | bytes]]) -> Caller | None:
        """Return the caller that the same header identified before; None if there is none."""
        shown = [value for key, value in metadata if key == HEADER]
        if not shown and not self.is_required:
            return ANONYMOUS
        found = self.remembered.get(shown[0]) if len(shown) == 1 else None
        return found if found is not None and self.now() < found.expires else None

    def authorize(self, method: str, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
        """Return who calls a method, if they may; checks an open call again.

        Raises:
            Unauthenticated: the credential is missing, wrong, revoked or expired.
            PermissionDenied: MISSING_SCOPE.
        """
        rule = POLICY.get(method, NOT_LISTED)
        if rule.scope is None:
            return NOBODY
        caller = self._caller(metadata)
        if rule.scope not in caller.scopes:
            message = f"{method} needs the scope {rule.scope}, which {caller.name!r} does not have"
            raise PermissionDenied("MISSING_SCOPE", message)
        return caller

    async def pace(self, caller: Caller) -> None:
        """Wait until a stream's next message keeps to its caller's rate."""
        while True:
            try:
                return self.rate_limits.take(caller)
            except ResourceExhausted as error:
                await asyncio.sleep(error.retry_after_seconds)

    def check_request(self, caller: Caller, method: str, request: object) -> None:
        """Check that a message concerns a task that the caller may use.

        Raises:
            PermissionDenied: TASK_NOT_ALLOWED; it names none of the caller's tasks.
            InvalidArgument: its prediction id is not valid.
        """
        if not caller.tasks:
            return
        rule = POLICY.get(method, NOT_LISTED)
        if rule.scope is None:
            return
        task = task_of(rule.task, request, self.signer)
        if task not in caller.tasks:
            named = f"the task {task[:40]!r}" if task else "no task"
            allowed = ", ".join(sorted(caller.tasks))
            message = f"{caller.name!r} may use only {allowed}; this call names {named}"
            raise PermissionDenied("TASK_NOT_ALLOWED", message)

    def audited(self, method: str) -> bool:
        """Return whether the method is an admin action, which is recorded in the audit trail."""
        return POLICY.get(method, NOT_LISTED).is_audited

    def _caller(self, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
        if (remembered := self.remembered_caller(metadata)) is not None:
            return remembered
        shown = [value for key, value in metadata if key == HEADER]
        if not shown:
            message = f"{HEADER}: Bearer <API key or token> is missing"
            raise MissingCredential(message)
        caller = self._identified(_credential(shown))
        if len(self.remembered) >= MAX_REMEMBERED:
            del self.remembered[next(iter(self.remembered))]
        self.remembered[shown[0]] = caller
        return caller

    def _identified(self, credential: str) -> Caller:
        if credential.startswith(PREFIX):
            return self.api_keys.find(credential)
        if self.tokens is None:
            message = "the credential is not an API key, and this server accepts no tokens"
            raise Unauthenticated("TOKENS_NOT_TAKEN", message)
        return self.tokens.find(credential)


def _credential(shown: Sequence[str | bytes]) -> str:
    """Return the credential of the headers with one.

    Raises:
        MalformedCredential: there are several, or one is not a bearer's.
    """
    if len(shown) == 1 and isinstance(shown[0], str) and shown[0].isascii():
        scheme, _, credential = shown[0].partition(" ")
        credential = credential.strip()
        if credential and scheme.lower() == "bearer":
            return credential
    message = f"{HEADER} must be given once, as: Bearer <API key or token>"
    raise MalformedCredential(message)
