"""The key of Triton's model control. It allows its holder to load models, and so to run code."""

import secrets

from tidemill_core.secret_file import read_or_create
from tidemill_core.settings import Settings

_FILE = "triton_control_key"


def control_key(settings: Settings) -> str:
    """Return the settings' key or, for the embedded Triton, the state directory's key.

    Raises:
        ConfigurationError: the key's file cannot be read or written, or other users may read it.
    """
    if settings.triton.control_key:
        return settings.triton.control_key
    return read_or_create(settings.state_dir / _FILE, lambda: secrets.token_urlsafe(32))
