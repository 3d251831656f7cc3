"""The caller of the current call."""

from contextvars import ContextVar

from tidemill_core.domain.access import NOBODY, Authentication, Caller

current_caller: ContextVar[Caller] = ContextVar("current_caller", default=NOBODY)


def acting_name(given: str) -> str:
    """Return the caller's name if it is authenticated, or else the name that the request gives."""
    caller = current_caller.get()
    is_proven = caller.authentication is not Authentication.NONE
    return caller.name if is_proven else given or "unknown"
