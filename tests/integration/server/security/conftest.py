"""The tokens that a real issuer could have signed."""

from tests.unit.server.security.conftest import issuer

__all__ = ["issuer"]
