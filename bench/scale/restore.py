"""A backup that is restored into another folder and another PostgreSQL server, and started there.

    python -m bench.scale.restore [--predictions 2000]

A stack over PostgreSQL predicts, also while `tidemill backup` writes. It is then stopped, with its
database server. A new server, a new folder, `tidemill restore` and `tidemill up` take its place.
Exits with 1 if the new stack answers differently, refuses the API key or feedback on an earlier
prediction, trains a model, or has not the rows of the backup in partitions.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psycopg
from rich.console import Console

from bench import end_on_sigterm
from bench.scoring.__main__ import verdict
from bench.serving.workspace import EXAMPLE, TASK, Stack, Workspace, running_stack
from tests.plugins.postgres import Postgres, running_postgres
from tidemill_client import Prediction, TidemillClient

_SETTINGS = f"""\
[tasks.{TASK}]
sources = [{{ path = "{EXAMPLE}", label_column = "category" }}]
[auth]
required = true
[tracking]
trackers = []
[monitoring]
max_p99_latency_ms = 10000  # other work may run; this does not measure the latency
"""
_TEXT = "my card has not arrived"
_FEEDBACK_EVERY = 10
_TABLES = ("predictions", "feedback", "model_versions", "dataset_versions", "api_keys")
_PARTITIONS = "SELECT count(*) FROM pg_inherits WHERE inhparent = CAST('predictions' AS regclass)"


def main() -> int:
    """Run the benchmark; return 1 if the restored stack is not the old one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--predictions", type=int, default=2000, help="before the backup")
    count: int = parser.parse_args().predictions
    console = Console()
    with tempfile.TemporaryDirectory(prefix="tidemill-restore-") as name:
        folder = Path(name)
        backup = folder / "backup.tar"
        with running_postgres(folder) as postgres:
            old, _ = _workspace(folder / "old", postgres)
            before, rows = _backed_up(old, backup, count, console)
        with running_postgres(folder) as postgres:
            new, database = _workspace(folder / "new", postgres)
            (new.folder / "key-of-bench").write_text(old.api_key("bench"))
            _timed(console, new, "restore", str(backup))
            restored = _counts(postgres, database)
            figure = f"rows: {', '.join(f'{n:,} {name}' for name, n in restored.items())}"
            passed = verdict(console, figure, all(rows[each] == restored[each] for each in _TABLES))
            with running_stack(new, 1) as stack:
                passed &= _answers(stack, before, console)
            after = _counts(postgres, database)
    more = {name: n - restored[name] for name, n in after.items() if n != restored[name]}
    wanted = {"predictions": 1, "feedback": 1}
    passed &= verdict(console, f"rows since then: {more}", more == wanted)
    return 0 if passed and after["partitions"] else 1


def _workspace(folder: Path, postgres: Postgres) -> tuple[Workspace, str]:
    """Return a new workspace and the name of its new database."""
    folder.mkdir()
    database = postgres.new_database()
    settings = f'database_url = "{postgres.url(database)}"\n{_SETTINGS}'
    (folder / "tidemill.toml").write_text(settings)
    return Workspace(folder), database


def _client(stack: Stack) -> TidemillClient:
    key = dict(stack.metadata)["authorization"].removeprefix("Bearer ")
    return TidemillClient(stack.grpc_address, api_key=key)


def _backed_up(
    old: Workspace, backup: Path, count: int, console: Console
) -> tuple[Prediction, dict[str, int]]:
    """Predict, and write a backup meanwhile; return the first prediction and the rows by table."""
    with running_stack(old, 1) as stack, _client(stack) as client:
        first = client.predict(TASK, _TEXT)
        for number in range(count):
            found = client.predict(TASK, _TEXT)
            if number % _FEEDBACK_EVERY == 0:
                client.submit_feedback(found.prediction_id, correct=True)
        stopping = threading.Event()

        def go_on() -> None:
            while not stopping.is_set():
                client.predict(TASK, _TEXT)

        calling = threading.Thread(target=go_on)
        calling.start()
        try:
            written = _timed(console, old, "backup", str(backup), "--json")
        finally:
            stopping.set()
            calling.join()
    return first, json.loads(written)["row_counts"]


def _timed(console: Console, workspace: Workspace, *command: str) -> str:
    """Run a command of Tidemill, print its seconds, and return what it prints."""
    begin = time.monotonic()
    done = subprocess.run(  # noqa: S603 -- our own words
        [sys.executable, "-m", "tidemill_cli.main", *command],
        cwd=workspace.folder,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    console.print(f"{command[0]} took {time.monotonic() - begin:.1f} s")
    return done.stdout


def _counts(postgres: Postgres, database: str) -> dict[str, int]:
    queries = {name: f"SELECT count(*) FROM {name}" for name in _TABLES}  # noqa: S608 -- our names
    with psycopg.connect(postgres.server.get_uri(database)) as connection:
        return {
            name: int((connection.execute(query).fetchone() or (0,))[0])
            for name, query in {**queries, "partitions": _PARTITIONS}.items()
        }


def _answers(stack: Stack, before: Prediction, console: Console) -> bool:
    """Return whether the stack answers as the old one did, and accepts its ids and its key."""
    with _client(stack) as client:
        after = client.predict(TASK, _TEXT)
        client.submit_feedback(before.prediction_id, label=before.label)
    same = (before.label, before.confidence, before.model_version)
    found = (after.label, after.confidence, after.model_version)
    figure = f"answer: {found[0]}, {found[1]:.6f}, version {found[2]}; before: {same[1]:.6f}"
    return verdict(console, figure, same == found)


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
