"""The key of Triton's model control. Whoever has it may load models, so run code."""

import secrets

from tidemill_core.secret_file import read_or_create
from tidemill_core.settings import Settings

_FILE = "triton_control_key"


def control_key(settings: Settings) -> str:
    """The settings' key or, for the embedded Triton, the state directory's own.

    Raises:
        ConfigurationError: the file that holds it cannot be read or written, or others may read it.
    """
    if settings.triton.control_key:
        return settings.triton.control_key
    return read_or_create(settings.state_dir / _FILE, lambda: secrets.token_urlsafe(32))
