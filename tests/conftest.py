"""What every test may ask for."""

import pytest

pytest_plugins = ["tests.plugins.postgres"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, each on a loop of its own."""
    return "asyncio"
