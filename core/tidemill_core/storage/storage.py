"""All stores of one database as one value."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import get_type_hints

import structlog

from tidemill_core.errors import StorageUnavailable
from tidemill_core.storage.alert_outbox import AlertOutbox
from tidemill_core.storage.alerts import AlertStore
from tidemill_core.storage.api_keys import ApiKeyStore
from tidemill_core.storage.audit import AuditStore
from tidemill_core.storage.database import Database
from tidemill_core.storage.datasets import DatasetStore
from tidemill_core.storage.drift_regions import DriftRegionStore
from tidemill_core.storage.engine import DatabaseMissing, create_missing, missing_file
from tidemill_core.storage.erasures import ErasureStore
from tidemill_core.storage.exports import ExportStore
from tidemill_core.storage.feedback import FeedbackStore
from tidemill_core.storage.feedback_holds import FeedbackHoldStore
from tidemill_core.storage.jobs import JobStore
from tidemill_core.storage.label_items import LabelItemStore
from tidemill_core.storage.leases import LeaseStore
from tidemill_core.storage.migrate import is_empty, migrate
from tidemill_core.storage.models import ModelStore
from tidemill_core.storage.outcome_counts import OutcomeCountStore
from tidemill_core.storage.pauses import PauseStore
from tidemill_core.storage.prediction_counts import PredictionCountStore
from tidemill_core.storage.prediction_samples import PredictionSamples
from tidemill_core.storage.predictions import PredictionStore
from tidemill_core.storage.preferences import PreferenceStore
from tidemill_core.storage.reports import ReportStore
from tidemill_core.storage.rollouts import RolloutStore
from tidemill_core.storage.silences import SilenceStore
from tidemill_core.storage.tracked_runs import TrackedRunStore

_RETRY_SECONDS = 1.0

log = structlog.get_logger()


@dataclass(frozen=True)
class Storage:
    """The stores of one database."""

    database: Database
    predictions: PredictionStore
    outcome_counts: OutcomeCountStore
    prediction_counts: PredictionCountStore
    prediction_samples: PredictionSamples
    drift_regions: DriftRegionStore
    feedback: FeedbackStore
    feedback_holds: FeedbackHoldStore
    preferences: PreferenceStore
    label_items: LabelItemStore
    datasets: DatasetStore
    erasures: ErasureStore
    exports: ExportStore
    models: ModelStore
    pauses: PauseStore
    rollouts: RolloutStore
    tracked_runs: TrackedRunStore
    jobs: JobStore
    reports: ReportStore
    alerts: AlertStore
    alert_outbox: AlertOutbox
    silences: SilenceStore
    leases: LeaseStore
    api_keys: ApiKeyStore
    audit: AuditStore


def open_storage(url: str, *, create: bool = True) -> Storage:
    """Connect to a database and migrate it to the current schema.

    Args:
        url: SQLAlchemy's URL of it.
        create: whether to create a SQLite file that is missing. In a running stack it was moved
            away, so an empty one would hide what happened.

    Raises:
        ConfigurationError: the URL is not of SQLite or PostgreSQL, or a newer release has migrated
            the database.
        StorageUnavailable: the database cannot be reached, or is missing.
    """
    if (file := missing_file(url)) is not None:
        if not create:
            raise DatabaseMissing(file)
        create_missing(url)
    database = Database(url)
    try:
        migrate(database)
    except BaseException:
        database.close()
        raise
    return _storage(database)


@contextmanager
def existing_storage(url: str) -> Iterator[Storage | None]:
    """Connect to a database as it is: nothing is created or migrated.

    Yields:
        The storage; None if the database does not exist or has no tables yet.

    Raises:
        MigrationPending: it is of an earlier release.
        ConfigurationError: as `open_storage`.
        StorageUnavailable: the database cannot be reached.
    """
    if missing_file(url) is not None:
        yield None
        return
    with closing(Database(url)) as database:
        yield None if is_empty(database) else _storage(database)


def _storage(database: Database) -> Storage:
    stores = get_type_hints(Storage)
    del stores["database"]
    return Storage(database, **{name: store(database) for name, store in stores.items()})


def wait_for_storage(url: str, *, create: bool = True) -> Storage:
    """Open storage as `open_storage` does, but wait while the database cannot be reached.

    A process that ends instead may stay down: Podman does not restart a container while one that it
    depends on is down.

    Raises:
        ConfigurationError: as `open_storage`.
    """
    while True:
        try:
            return open_storage(url, create=create)
        except StorageUnavailable as error:
            log.warning("waiting_for_database", detail=error.detail or str(error))
        time.sleep(_RETRY_SECONDS)
