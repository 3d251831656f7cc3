"""One API server for each module of tests."""

from collections.abc import Iterator

import pytest
import stamina

from tests.integration.jobs.data.sources.web_api.api import Api, running
from tidemill_jobs.data.sources.web_api.api_client import ATTEMPTS


@pytest.fixture(scope="module")
def server() -> Iterator[Api]:
    """Return one server for all tests in this module."""
    with running() as api:
        yield api


@pytest.fixture
def api(server: Api) -> Iterator[Api]:
    """Return the server without requests so far; retries of a request do not wait."""
    server.asked.clear()
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield server
