"""One API server for each module of tests."""

from collections.abc import Iterator

import pytest
import stamina

from tests.integration.jobs.data.sources.web_api.api import Api, running
from tests.integration.jobs.data.sources.web_api.items import Declare
from tidemill_core.settings import HttpSource
from tidemill_jobs.data.sources import open_source
from tidemill_jobs.data.sources.source import Source
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


@pytest.fixture
def declare(server: Api) -> Declare:
    """Return a function that makes a source of the API, with settings by name."""

    def declared(**values: object) -> Source:
        settings = {"kind": "http", "url": server.url, "requests_per_second": 1e4, **values}
        return open_source(HttpSource.model_validate(settings))

    return declared
