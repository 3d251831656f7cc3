"""Whether the Tritons of `triton.url` answer `tidemill doctor`, and take the control key."""

from contextlib import closing

from tidemill_core.durable import cause
from tidemill_core.errors import DeadlineExceeded, TritonUnavailable
from tidemill_core.triton.addresses import resolved
from tidemill_core.triton.server_control import ControlKeyRefused, ServerControl

_ANY_MODEL = "any"
_ATTEMPTS = 3
"""How often a Triton is asked, for a second each: it, or this machine, may be busy."""


def trouble_with_tritons(url: str, key: str) -> tuple[str, str] | None:
    """Return what is wrong with some Tritons, and what to do; None if each answers.

    Args:
        url: `triton.url`.
        key: `triton.control_key`; empty to leave out whether they take it.
    """
    try:
        states = {address: _state(address, key) for address in resolved(url)}
    except OSError as error:
        return f"{url}: {cause(error)}", "fix triton.url"
    if silent := [address for address, state in states.items() if state == "silent"]:
        found = f"no Triton answers at {', '.join(silent)}"
        return found, "start it, or fix triton.url: it names Triton's gRPC port"
    if refusing := [address for address, state in states.items() if state == "refuses the key"]:
        found = f"triton.control_key is not the key of {', '.join(refusing)}"
        return found, "start each Triton with the key in triton.control_key"
    return None


def _state(address: str, key: str) -> str:
    with closing(ServerControl(address, key)) as control:
        if not any(control.is_ready() for _ in range(_ATTEMPTS)):
            return "silent"
        try:
            if key:
                control.ready_versions(_ANY_MODEL)
        except ControlKeyRefused:
            return "refuses the key"
        except (TritonUnavailable, DeadlineExceeded):
            return "silent"
    return "answers"
