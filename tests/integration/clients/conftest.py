"""The real front, for clients in any language."""

from tests.integration.server.conftest import front, triton, workspace

__all__ = ["front", "triton", "workspace"]
