"""Migrations to the current schema."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import column, insert, inspect, table, text

from tests.contract.storage.values import dataset, preference, verdict
from tests.plugins.postgres import Postgres
from tidemill_core.errors import ConfigurationError
from tidemill_core.storage.database import Database, Page
from tidemill_core.storage.migrate import MIGRATIONS, MigrationPending
from tidemill_core.storage.schema import dataset_versions, metadata, preferences
from tidemill_core.storage.storage import existing_storage, open_storage

_AT_FIRST = (
    *("dataset_version", "task", "uri", "row_counts", "label_counts", "label_source_counts"),
    *("quarantine_counts", "create_time"),
)
"""Columns of the first table of dataset versions."""

_RUN = {
    "trigger": "rpc",
    "progress": 0.0,
    "message": "waits",
    "result": "{}",
    "error": "",
    "cancel_requested": False,
    "create_time": "2026-01-01 00:00:00.000000",
}

OPEN = """
import sys
from tidemill_core.storage.storage import open_storage
print("waits", flush=True)
for url in sys.stdin:
    open_storage(url.strip()).database.close()
    print("opened", flush=True)
"""


def test_the_head_is_the_schema(empty_database_url: str) -> None:
    """After all migrations, the database has exactly the tables of the schema."""
    database = open_storage(empty_database_url).database
    with database.read() as connection:
        options = {"compare_type": True, "include_name": _is_whole}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    database.close()


def _is_whole(name: str, kind: str, _parents: object) -> bool:
    return kind != "table" or not name.startswith("predictions_")


def test_a_current_database_needs_no_alembic(tmp_path: Path) -> None:
    """A process that opens an up-to-date database does not import Alembic, which is slow."""
    url = f"sqlite:///{tmp_path / 'tidemill.db'}"
    opening = OPEN + "assert 'alembic' not in sys.modules"
    for code in (OPEN, opening):
        subprocess.run([sys.executable, "-c", code], input=url, text=True, check=True)


def test_migrating_again_keeps_the_rows(empty_database_url: str) -> None:
    """Opening an up-to-date database changes nothing in it."""
    first = open_storage(empty_database_url)
    [stored] = first.feedback.add([verdict()])
    first.database.close()
    second = open_storage(empty_database_url)
    assert second.feedback.page("", "", Page())[0] == [stored]
    second.database.close()


def test_a_newer_database_is_refused(empty_database_url: str) -> None:
    """The error of an older release says what to do, and the database stays as it is."""
    database = open_storage(empty_database_url).database
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(
        ConfigurationError, match="newer release of Tidemill has migrated the database to 9999"
    ):
        open_storage(empty_database_url)
    with database.read() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
    database.close()


def test_a_look_changes_nothing(empty_database_url: str) -> None:
    """To look creates no tables and no file, and migrates no database of an earlier release."""
    file = Path(empty_database_url.removeprefix("sqlite:///"))
    file.unlink(missing_ok=True)
    with existing_storage(empty_database_url) as storage:
        assert storage is None
    assert not file.exists()
    database = open_storage(empty_database_url).database
    with existing_storage(empty_database_url) as storage:
        assert storage is not None
        assert storage.audit.page("", "", Page())[0] == []
    for version, expected in (("0024", MigrationPending), ("9999", ConfigurationError)):
        with database.write() as connection:
            change = text("UPDATE alembic_version SET version_num = :version")
            connection.execute(change, {"version": version})
        with pytest.raises(expected), existing_storage(empty_database_url):
            pass
        with database.read() as connection:
            assert connection.scalar(text("SELECT version_num FROM alembic_version")) == version
    database.close()


def test_what_was_built_before_has_a_build_time(empty_database_url: str) -> None:
    """The build time of dataset versions in an older database is their creation time."""
    database, config = Database(empty_database_url), Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    old = {name: value for name, value in vars(dataset("a" * 64)).items() if name in _AT_FIRST}
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        connection.execute(dataset_versions.insert(), old)
    database.close()
    storage = open_storage(empty_database_url)
    assert storage.datasets.get("a" * 64) == dataset("a" * 64)
    storage.database.close()


def test_pairs_that_were_judged_wait_for_other_annotators(empty_database_url: str) -> None:
    """Each pair of an older database is one to judge, with the number of people who judged it."""
    database, config = Database(empty_database_url), Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    judged = [preference(), preference("a cat", "a card", annotator="ben"), preference()]
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0023")
        rows = [{**vars(each), "request_id": None, "pair_hash": each.pair_hash} for each in judged]
        connection.execute(preferences.insert(), rows)
    database.close()
    storage = open_storage(empty_database_url)
    [pair] = storage.preferences.waiting_pairs("support", "eve", 10)
    assert (pair.pair_id, pair.judgement_count) == (judged[0].pair_hash, 2)
    assert {pair.first, pair.second} == {"a card", "a cat"}
    storage.database.close()


def test_pickles_of_earlier_releases_are_dropped(empty_database_url: str) -> None:
    """The table of an earlier scheduler's pickles is dropped."""
    database, config = Database(empty_database_url), Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
        connection.exec_driver_sql("CREATE TABLE apscheduler_jobs (id TEXT PRIMARY KEY)")
        connection.exec_driver_sql("INSERT INTO apscheduler_jobs VALUES ('check_drift:support')")
    database.close()
    storage = open_storage(empty_database_url)
    assert not inspect(storage.database.engine).has_table("apscheduler_jobs")
    storage.database.close()


def test_runs_that_piled_up_in_earlier_releases_are_closed(empty_database_url: str) -> None:
    """Of the runs that wait, each job and task keeps the oldest one; others do not change."""
    database, config = Database(empty_database_url), Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    runs = ["retrain support SUCCEEDED", *["retrain support QUEUED"] * 3, "retrain other QUEUED"]
    runs += ["check_drift support QUEUED", "retrain support RUNNING", "retrain support QUEUED"]
    with database.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0009")
        for number, run in enumerate(runs):
            job, task, state = run.split()
            values = {"job": job, "task": task, "state": state, "run_id": str(number)}
            connection.execute(
                insert(table("job_runs", *map(column, [*_RUN, *values]))), _RUN | values
            )
    database.close()
    storage = open_storage(empty_database_url)
    found, _ = storage.jobs.page("", "", Page())
    states = {int(run.run_id): str(run.state) for run in found}
    closed = {2, 3, 7}
    assert states == {
        number: "CANCELLED" if number in closed else run.split()[2]
        for number, run in enumerate(runs)
    }
    assert {int(run.run_id) for run in found if run.end_time is not None} == closed
    storage.database.close()


def test_processes_that_start_together(tmp_path: Path, postgres: Postgres) -> None:
    """Processes that open an empty database concurrently all succeed, on either backend."""
    urls = [f"sqlite:///{tmp_path / str(number)}.db" for number in range(20)]
    urls.append(postgres.url(postgres.new_database()))
    command = [sys.executable, "-c", OPEN]
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(3)
    ]
    answers = [_line(process) for process in processes]
    for url in urls:
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(url + "\n")
            process.stdin.flush()
        answers = [_line(process) for process in processes]
        if answers != ["opened\n"] * 3:
            break
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert answers == ["opened\n"] * 3, errors


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()
