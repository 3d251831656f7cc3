"""Work on a Ray cluster. A killed node, which needs a minute, is in bench/scale/ray.py."""

import csv
import importlib
import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import optuna
import polars as pl
import pytest

from tests.integration.jobs.scoring.conftest import Bench
from tests.plugins.ray_cluster import RayCluster
from tests.plugins.triton import RunningTriton, free_ports
from tests.unit.jobs.training.conftest import weather
from tidemill_core.errors import ConfigurationError, TidemillError
from tidemill_core.settings import FilesSource
from tidemill_core.settings.ray import RaySettings
from tidemill_jobs.cluster import Cluster, ClusterUnavailable, mapping
from tidemill_jobs.data.landing.intake import Intake
from tidemill_jobs.data.preparing.clean import Cleaning
from tidemill_jobs.data.preparing.prepare import PreparedCache
from tidemill_jobs.data.sources import open_source
from tidemill_jobs.training.labeled_texts import TrainingData
from tidemill_jobs.training.search import SearchConfig
from tidemill_jobs.training.tracking import Untracked
from tidemill_jobs.training.train import TrainingConfig, train


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A cluster of one node."""
    with RayCluster(0) as running:
        yield running


def _on(bench: Bench, address: str, triton: RunningTriton) -> Bench:
    settings = bench.context.settings
    changed = settings.model_copy(
        update={
            "ray": RaySettings(address=address),
            "triton": settings.triton.model_copy(update={"url": triton.grpc_address}),
        }
    )
    return replace(bench, context=replace(bench.context, settings=changed))


def test_a_scoring_on_a_cluster_writes_the_same_file(
    bench: Bench, cluster: RayCluster, triton: RunningTriton
) -> None:
    """Each row of several chunks is written once, with the answer that it has without Ray."""
    rows = [[n, f"card {n % 7}" if n % 500 else ""] for n in range(9000)]
    with (bench.folder / "in.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "text"], *rows])
    bench.score("in.csv", "local.csv")
    found = _on(bench, cluster.address, triton).score("in.csv", "ray.csv")
    assert found["rows"] == 9000
    assert found["errors"] == {"BLANK_TEXT": 18}
    local, ray = ((bench.folder / name).read_bytes() for name in ("local.csv", "ray.csv"))
    assert ray == local


def test_nodes_ask_the_stand_in_while_triton_restarts(
    bench: Bench, cluster: RayCluster, triton: RunningTriton
) -> None:
    """A scoring on a cluster goes on while the embedded Triton is restarted."""
    [nothing_there] = free_ports(1)
    settings = bench.context.settings.model_copy(
        update={"ray": RaySettings(address=cluster.address), "triton_grpc_port": nothing_there}
    )
    settings.triton_stand_in_file.parent.mkdir(parents=True, exist_ok=True)
    settings.triton_stand_in_file.write_text(triton.grpc_address)
    (bench.folder / "in.csv").write_text("id,text\n1,a card\n2,another card\n")
    on_cluster = replace(bench, context=replace(bench.context, settings=settings))
    found = on_cluster.score("in.csv", "out.csv")
    assert (found["rows"], found["errors"]) == (2, {})


def test_rows_that_a_cluster_prepares_are_the_same(tmp_path: Path, cluster: RayCluster) -> None:
    """A dataset version is made of the same rows, whoever cleaned and measured them."""
    source = tmp_path / "in.csv"
    lines = (f"  Card  {n} lost at café {n % 9},lost_{n % 3}" for n in range(300))
    source.write_text("\n".join(["text,label", *lines]))
    intake = Intake(tmp_path / "intake", frozenset())
    segments = intake.land(open_source(FilesSource(path=source)), lambda _done, _doing: None)
    prepared = []
    for address in ("", cluster.address):
        cache = PreparedCache(tmp_path / f"prepared{len(prepared)}", Cleaning(1000))
        with mapping(address) as mapped:
            found = cache.prepare(segments, lambda _done, _doing: None, mapped)
        prepared.append(pl.concat(pl.read_parquet(each.path) for each in found))
    assert len(prepared[0]) == 300
    assert prepared[0].equals(prepared[1])


def test_trials_of_a_search_on_a_cluster(tmp_path: Path, cluster: RayCluster) -> None:
    """On one CPU, where trials run one after the other, they are those of a search in the job."""
    data = TrainingData(weather(60), weather(20, 60), weather(20, 80))
    found = []
    for address in ("", cluster.address):
        url = f"sqlite:///{tmp_path}/optuna{len(found)}.db"
        search = SearchConfig(2, None, 1, url, "study", address)
        train(data, TrainingConfig(search=search), lambda *_: None, Untracked())
        study = optuna.load_study(study_name="study", storage=url)
        found.append([(each.params, each.values) for each in study.trials])
    assert found[0] == found[1]


def test_a_cluster_of_another_ray_is_refused(cluster: RayCluster) -> None:
    """The error names both versions, and says what to install where."""
    from ray._raylet import GcsClient  # the head has the versions in its store

    store, place = GcsClient(address=cluster.address), (b"CLUSTER_METADATA", b"cluster")
    before = store.internal_kv_get(*place)
    other = json.loads(before) | {"ray_version": "2.1.0"}
    store.internal_kv_put(place[0], json.dumps(other).encode(), True, place[1])
    try:
        with pytest.raises(ConfigurationError) as caught:
            Cluster(cluster.address)
    finally:
        store.internal_kv_put(place[0], before, True, place[1])
    assert "has Ray: 2.1.0, Python: 3." in str(caught.value)
    assert "this machine has Ray: " in str(caught.value)
    assert "on each machine of the cluster, run `pip install" in str(caught.value)


def test_a_node_with_another_tidemill_is_named(
    cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tasks fail with both versions, and with what to install there."""
    (tmp_path / "tidemill-9.9.9.dist-info").mkdir()
    about = tmp_path / "tidemill-9.9.9.dist-info" / "METADATA"
    about.write_text("Metadata-Version: 2.1\nName: tidemill\nVersion: 9.9.9\n")
    monkeypatch.syspath_prepend(tmp_path)
    said = r"the job has Tidemill 9\.9\.9, but the Ray node 127\.0\.0\.2 has .* run `pip install"
    with Cluster(cluster.address) as connection:
        with pytest.raises(TidemillError, match=said):
            connection.result(connection.submit(abs, -1))
        with pytest.raises(TidemillError, match=said):
            next(connection.stream(_endless))


@pytest.fixture(scope="module")
def connection(cluster: RayCluster) -> Iterator[Cluster]:
    """A connection for the rest of the tests: a process has one at a time."""
    with Cluster(cluster.address) as connected:
        yield connected


def test_a_node_without_the_jobs_code_is_named(
    connection: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that a node cannot import fails with what to install there."""
    (tmp_path / "only_here.py").write_text("def work():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    function = importlib.import_module("only_here").work
    with pytest.raises(ConfigurationError, match=r"No module named 'only_here'.*pip install"):
        connection.result(connection.submit(function))


def _endless() -> Iterator[int]:
    yield from itertools.repeat(1)


def test_a_stream_that_is_closed_frees_its_cpu(connection: Cluster) -> None:
    """A pruned trial ends on its node, and the next task gets the only CPU."""
    with closing(connection.stream(_endless)) as found:
        assert next(found) == 1
    assert connection.result(connection.submit(abs, -1)) == 1


def _fail(reason: str) -> None:
    raise TidemillError("a sentence for people", reason)


def test_an_error_on_a_node_is_the_jobs_own(connection: Cluster) -> None:
    """A deliberate error of a task has its reason and its words in the job."""
    with pytest.raises(TidemillError) as caught:
        connection.result(connection.submit(_fail, "SOME_REASON"))
    assert (caught.value.reason, str(caught.value)) == ("SOME_REASON", "a sentence for people")


def test_an_address_without_a_cluster_is_refused_at_once() -> None:
    """The error names the address and the reason, and says what to look at."""
    (port,) = free_ports(1)
    with pytest.raises(ClusterUnavailable, match=f"127.0.0.1:{port}.*ray status"):
        Cluster(f"127.0.0.1:{port}")
