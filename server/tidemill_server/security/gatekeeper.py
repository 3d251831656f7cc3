"""Lets a call pass or not. A known API key costs some microseconds."""

import asyncio
from collections.abc import Iterable

from tidemill_core.domain.access import ANONYMOUS, NOBODY, Caller
from tidemill_core.errors import PermissionDenied, ResourceExhausted, Unauthenticated
from tidemill_core.prediction_id import PredictionIdSigner
from tidemill_core.storage.api_keys import PREFIX
from tidemill_server.security.api_keys import ApiKeys
from tidemill_server.security.policy import NOT_LISTED, POLICY, task_of
from tidemill_server.security.rate_limits import RateLimits
from tidemill_server.security.tokens import Tokens

HEADER = "authorization"


class Gatekeeper:
    """Knows who calls, and what a caller may do.

    Args:
        api_keys: callers by API key.
        tokens: callers by token; None where no tokens are taken.
        rate_limits: how often they may call.
        signer: tells the task of a prediction id.
        is_required: whether a call without a credential is refused. One that is shown is checked
            in any case.
    """

    def __init__(
        self,
        api_keys: ApiKeys,
        tokens: Tokens | None,
        rate_limits: RateLimits,
        signer: PredictionIdSigner,
        *,
        is_required: bool,
    ) -> None:
        self._api_keys = api_keys
        self._tokens = tokens
        self._rate_limits = rate_limits
        self._signer = signer
        self._is_required = is_required

    def admit(self, method: str, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
        """Let a call begin.

        A token whose signing key is not known yet is refused at once; the key is looked for in the
        background.

        Args:
            method: its path: `/tidemill.v1.PredictionService/Predict`.
            metadata: what the caller sent along.

        Raises:
            Unauthenticated: nobody knows who calls.
            PermissionDenied: MISSING_SCOPE.
            ResourceExhausted: RATE_LIMITED.
        """
        rule = POLICY.get(method, NOT_LISTED)
        if rule.scope is None:
            return NOBODY
        caller = self._caller(metadata)
        if rule.scope not in caller.scopes:
            message = f"{method} needs the scope {rule.scope}, which {caller.name!r} has not"
            raise PermissionDenied("MISSING_SCOPE", message)
        if caller.requests_per_second is not None:
            self._rate_limits.take(caller)
        return caller

    async def pace(self, caller: Caller) -> None:
        """Wait until a stream's next message keeps to its caller's rate."""
        if caller.requests_per_second is None:
            return
        while True:
            try:
                self._rate_limits.take(caller)
            except ResourceExhausted as error:
                await asyncio.sleep(error.retry_after_seconds)
            else:
                return

    def check_request(self, caller: Caller, method: str, request: object) -> None:
        """Let one message of a call pass. For a caller that may use all tasks, every one does.

        Raises:
            PermissionDenied: TASK_NOT_ALLOWED: it names another task than the caller's, or none.
            InvalidArgument: its prediction id is none of ours.
        """
        if not caller.tasks:
            return
        rule = POLICY.get(method, NOT_LISTED)
        if rule.scope is None:
            return
        task = task_of(rule.task, request, self._signer)
        if task not in caller.tasks:
            named = f"the task {task[:40]!r}" if task else "no task"
            allowed = ", ".join(sorted(caller.tasks))
            message = f"{caller.name!r} may name only {allowed}; this call names {named}"
            raise PermissionDenied("TASK_NOT_ALLOWED", message)

    def audited(self, method: str) -> bool:
        """Whether the method is an admin action, which is written down."""
        return POLICY.get(method, NOT_LISTED).is_audited

    def _caller(self, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
        credential = _credential(metadata)
        if credential is None:
            if self._is_required:
                message = f"{HEADER}: Bearer <API key or token> is missing"
                raise Unauthenticated("MISSING_CREDENTIAL", message)
            return ANONYMOUS
        if credential.startswith(PREFIX):
            return self._api_keys.find(credential)
        if self._tokens is None:
            message = "the credential is no API key, and no other is taken here"
            raise Unauthenticated("TOKENS_NOT_TAKEN", message)
        return self._tokens.find(credential)


def _credential(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    """The one credential that the metadata holds; None where there is none.

    Raises:
        Unauthenticated: MALFORMED_CREDENTIAL.
    """
    shown = [value for key, value in metadata if key == HEADER]
    if not shown:
        return None
    if len(shown) == 1 and isinstance(shown[0], str) and shown[0].isascii():
        scheme, _, credential = shown[0].partition(" ")
        credential = credential.strip()
        if credential and scheme.lower() == "bearer":
            return credential
    message = f"{HEADER} must be there once, and read: Bearer <API key or token>"
    raise Unauthenticated("MALFORMED_CREDENTIAL", message)
