"""The reason why another system gave no answer, without the words of the libraries that asked it.

Their messages may quote the address, which may be a secret, or what was sent.
"""

import ssl
from collections.abc import Iterator

_CLOSED = {"RemoteDisconnected", "RemoteProtocolError", "SMTPServerDisconnected"}


def why_unanswered(error: Exception) -> str:
    """Return why there was no answer, in the system's words; without any, the error's name."""
    causes = list(_causes(error))
    for each in causes:
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {each.verify_message}"
        if isinstance(each, TimeoutError) and not each.strerror:
            return "it took too long"
        if isinstance(each, ssl.SSLError):
            return f"it does not speak TLS as expected: {each.reason}"
        if isinstance(each, OSError) and isinstance(each.strerror, str):
            return each.strerror
    if _CLOSED & {type(each).__name__ for each in causes}:
        return "it closed the connection"
    return type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and the errors that caused it."""
    found: BaseException | None = error
    while found is not None:
        yield found
        inner = getattr(found, "reason", None)  # as urllib and urllib3 keep it
        found = inner if isinstance(inner, BaseException) else found.__cause__ or found.__context__
