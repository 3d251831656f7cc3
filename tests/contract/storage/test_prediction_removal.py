"""Removal of old predictions, and the partitions of PostgreSQL that it drops."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import func, select, text

from tests.contract.storage.values import NOW, at_once, prediction
from tests.plugins.waiting import wait_until
from tidemill_core.domain.prediction import Prediction
from tidemill_core.errors import StorageUnavailable
from tidemill_core.prediction_id import PredictionClaims, PredictionIdSigner
from tidemill_core.storage.database import Database
from tidemill_core.storage.migrate import MIGRATIONS
from tidemill_core.storage.partitions import WEEK, drop_partitions, week_start
from tidemill_core.storage.prediction_removal import BATCH_ROWS, remove_predictions
from tidemill_core.storage.prediction_rows import with_ids
from tidemill_core.storage.predictions import PredictionStore
from tidemill_core.storage.schema import predictions
from tidemill_core.storage.storage import Storage, open_storage

WEEKS = [NOW - number * WEEK for number in range(3)]
"""One time in each of the last weeks, the newest first."""


@pytest.fixture
def postgres_storage(kept_postgres_url: str) -> Iterator[Storage]:
    """Return storage over a PostgreSQL without predictions and partitions."""
    opened = open_storage(kept_postgres_url)
    drop_partitions(opened.database, datetime(9000, 1, 1, tzinfo=UTC))
    yield opened
    drop_partitions(opened.database, datetime(9000, 1, 1, tzinfo=UTC))
    opened.database.close()


def _made(prefix: str, time: datetime, count: int = 1, **changes: object) -> list[Prediction]:
    return [prediction(f"{prefix}{n}", predict_time=time, **changes) for n in range(count)]


def _ids(storage: Storage) -> list[str]:
    with storage.database.read() as connection:
        found = connection.execute(text("SELECT prediction_id FROM predictions ORDER BY 1"))
        return list(found.scalars())


def _partitions(database: Database) -> list[str]:
    query = (
        "SELECT CAST(inhrelid AS regclass) FROM pg_inherits JOIN pg_class p ON p.oid = inhparent"
    )
    with database.read() as connection:
        found = connection.execute(text(f"{query} WHERE p.relname = 'predictions'"))
        return [str(name) for name in found.scalars()]


@pytest.mark.parametrize(
    ("time", "start"),
    [
        (datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        (datetime(2026, 3, 8, 23, 59, 59, 999999, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        (datetime.fromisoformat("2026-03-02T01:00+02:00"), datetime(2026, 2, 23, tzinfo=UTC)),
    ],
)
def test_a_week_begins_on_monday_in_utc(time: datetime, start: datetime) -> None:
    """Monday's first microsecond begins a week, whatever the time's zone."""
    assert week_start(time) == start


def test_old_weeks_go_and_the_others_stay(storage: Storage) -> None:
    """All tasks, versions and methods lose the rows of old weeks, more than a batch, and no other.

    Their counts go with them, and a second run finds nothing.
    """
    newest, middle, oldest = WEEKS
    edge = week_start(middle)
    storage.predictions.add(_made("old", oldest, BATCH_ROWS + 1))
    storage.predictions.add(_made("other", oldest, task="arxiv", model_version=7, method="Shadow"))
    storage.predictions.add(_made("last", edge - timedelta(microseconds=1)))
    storage.predictions.add([*_made("edge", edge), *_made("new", newest)])
    list(remove_predictions(storage.database, edge))
    assert _ids(storage) == ["edge0", "new0"]
    counts = storage.prediction_counts.of_window("support", 1, oldest)
    assert counts[next(iter(counts))] == {"card_arrival": 2}
    assert all(each == (0, 0, 0) for each in remove_predictions(storage.database, edge))


def test_clocks_that_are_wrong_lose_no_row(storage: Storage) -> None:
    """Rows of any time are stored with others in one batch: a clock may be set back or forward."""
    times = [datetime(1970, 1, 1, tzinfo=UTC), NOW, datetime(2200, 5, 5, 5, tzinfo=UTC)]
    made = [prediction(f"p{n}", predict_time=time) for n, time in enumerate(times)]
    storage.predictions.add(made)
    assert [storage.predictions.get(each.prediction_id) for each in made] == made


def test_rows_that_are_late_are_stored_again(storage: Storage) -> None:
    """A row of a week that was removed is stored, and the next removal takes it."""
    old, limit = WEEKS[2], week_start(WEEKS[1])
    for name in ("first", "late"):
        storage.predictions.add(_made(name, old))
        assert _ids(storage) == [f"{name}0"]
        list(remove_predictions(storage.database, limit))
        assert _ids(storage) == []


def test_writers_that_meet_a_new_week_together(storage: Storage, second_storage: Storage) -> None:
    """Two processes that both have the first rows of a week store all of them."""
    stores = [storage.predictions, second_storage.predictions]
    at_once(
        lambda n: stores[n % 2].add(_made(f"w{n}-", datetime(2031, 1, 1, tzinfo=UTC), 3)), range(4)
    )
    assert len(_ids(storage)) == 12


def test_an_id_asks_the_partition_of_its_time(postgres_storage: Storage) -> None:
    """PostgreSQL reads only the partition that an id's time is in."""
    signer = PredictionIdSigner({0: b"k" * 32})
    claims = [PredictionClaims("support", 1, time, 1.0) for time in WEEKS]
    made = [prediction(signer.sign(each), predict_time=each.predict_time) for each in claims]
    postgres_storage.predictions.add(made)
    used = "SELECT count(*) FROM pg_inherits JOIN pg_locks ON relation = inhrelid "
    used += "WHERE inhparent = CAST('predictions' AS regclass) AND pid = pg_backend_pid()"
    for each in made:
        assert postgres_storage.predictions.get(each.prediction_id) == each
        with postgres_storage.database.read() as connection:
            query = select(predictions.c.label).where(*with_ids([each.prediction_id]))
            assert connection.execute(query).scalars().all() == [each.label]
            assert connection.execute(text(used)).scalar() == 1


def test_a_partition_that_is_read_waits(postgres_storage: Storage) -> None:
    """A reader keeps its partition, and neither it nor a writer waits. Later it is dropped."""
    database, old, limit = postgres_storage.database, WEEKS[2], week_start(WEEKS[1])
    postgres_storage.predictions.add([*_made("old", old), *_made("new", NOW)])
    count = text("SELECT count(*) FROM predictions")
    with database.read() as reader:
        assert reader.execute(count).scalar() == 2
        [dropping] = at_once(lambda _: drop_partitions(database, limit), [0])
        assert dropping == (0, 1)
        assert reader.execute(count).scalar() == 2
        assert _ids(postgres_storage) == ["new0"]
        postgres_storage.predictions.add(_made("more", NOW))
    assert drop_partitions(database, limit) == (1, 0)
    assert drop_partitions(database, limit) == (0, 0)


def test_a_late_row_of_a_week_that_is_half_removed(postgres_storage: Storage) -> None:
    """A late row brings back the week that a reader kept, whole, until the next removal."""
    database, old, limit = postgres_storage.database, WEEKS[2], week_start(WEEKS[1])
    postgres_storage.predictions.add([*_made("old", old), *_made("new", NOW)])
    with database.read() as reader:
        reader.execute(text("SELECT count(*) FROM predictions"))
        assert drop_partitions(database, limit) == (0, 1)
    postgres_storage.predictions.add(_made("late", old))
    assert _ids(postgres_storage) == ["late0", "new0", "old0"]
    assert drop_partitions(database, limit) == (1, 0)


def test_two_leaders_drop_each_week_once(postgres_storage: Storage) -> None:
    """Two processes that remove the same weeks take turns, and neither fails."""
    for time in WEEKS:
        postgres_storage.predictions.add(_made(f"{time:%d}-", time))
    limit = week_start(WEEKS[0])
    found = at_once(lambda _: drop_partitions(postgres_storage.database, limit), range(2))
    assert sorted(found) == [(0, 0), (2, 0)]


def test_an_upgrade_under_load_loses_no_row(postgres_url: str) -> None:
    """Rows that exist stay, and those written meanwhile are stored; a kill changes nothing.

    The conversion of a table waits for its readers. Here it is killed while it waits, and then
    done while two threads write.
    """
    database = Database(postgres_url)
    with database.write() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(MIGRATIONS))
        command.upgrade(config, "0022")
    store = PredictionStore(database)
    store.add([*_made("old", WEEKS[2], 600), *_made("ahead", datetime.now(UTC) + WEEK)])
    _kill_an_upgrade(database, postgres_url)
    done = threading.Event()

    def write(number: int) -> int:
        written = 0
        while not done.is_set() or not written:
            store.add(_made(f"load{number}-{written}-", datetime.now(UTC), 20))
            written += 20
        return written

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, number) for number in range(2)]
        storage = open_storage(postgres_url)
        done.set()
        written = sum(each.result() for each in writers)
    storage.predictions.add(_made("again", datetime.now(UTC)) + _made("old", WEEKS[2]))
    with storage.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(predictions)) == 602 + written
    assert len(_partitions(storage.database)) == 1
    assert drop_partitions(storage.database, week_start(datetime.now(UTC) + 4 * WEEK)) == (1, 0)
    storage.database.close()
    database.close()


def _kill_an_upgrade(database: Database, url: str) -> None:
    waiting = "SELECT pid FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
    with ThreadPoolExecutor(1) as pool, database.read() as reader:
        reader.execute(select(func.count()).select_from(predictions))
        upgrade = pool.submit(open_storage, url)
        wait_until(lambda: reader.execute(text(waiting)).first(), "the upgrade waits")
        reader.execute(text(f"SELECT pg_terminate_backend(({waiting}))"))
        with pytest.raises(StorageUnavailable):
            upgrade.result()
