"""The real front, for clients in any language."""

from tests.integration.server.conftest import front, fronts, transport, triton, workspace

__all__ = ["front", "fronts", "transport", "triton", "workspace"]
