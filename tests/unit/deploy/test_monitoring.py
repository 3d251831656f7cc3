"""The dashboard and the alerts against the metrics, and what is mounted where."""

import json
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import generate_latest

from tests.plugins import promql
from tests.unit.deploy.test_compose import COMPOSE, ROOT, SERVICES, default, volumes
from tidemill_server.telemetry.labels import Labels
from tidemill_server.telemetry.metrics import Metrics
from tidemill_server.telemetry.signals import GAUGES

QUERIES = [*promql.panel_queries(), *promql.alert_queries()]
OURS = [(title, query) for title, query in QUERIES if "tidemill_" in query]
DASHBOARD: dict[str, Any] = json.loads(promql.DASHBOARD.read_text("utf-8"))
PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
SCRAPED: dict[str, Any] = yaml.safe_load(
    (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text("utf-8")
)


def every_metric() -> promql.Scrape:
    """What a front shows once everything that there is a metric for has happened."""
    metrics = Metrics(Labels({"Service/Method"}, {"Predict"}, {"support"}), "0.1.0")
    metrics.method("Service/Method").seconds.observe(1)
    metrics.ended("Service/Method", "INTERNAL", "X").inc()
    metrics.predicted("Predict", "support", 1).seconds.observe(1)
    metrics.prediction_failed("Predict", "support", "X").inc()
    metrics.task("support").queue_seconds.observe(1)
    metrics.triton("support", 1).observe(1)
    metrics.shed("support", "OVERLOADED").inc()
    metrics.auth_failed("X").inc()
    found = promql.scrape([generate_latest(metrics.registry).decode()])
    reports = {f"tidemill_{name}": frozenset(labels) for name, (_, labels) in GAUGES.items()}
    return {**found, **reports}


def datasource() -> dict[str, Any]:
    """The provisioned datasource."""
    text = (PROVISIONING / "datasources" / "prometheus.yml").read_text("utf-8")
    (found,) = yaml.safe_load(text)["datasources"]
    return dict(found)


@pytest.mark.parametrize(
    ("title", "query"), OURS, ids=[f"{t}-{i}" for i, (t, _) in enumerate(OURS)]
)
def test_every_query_asks_for_metrics_that_there_are(title: str, query: str) -> None:
    """Each is valid PromQL, and its metrics and labels are the front's."""
    assert promql.unknown_names(query, every_metric()) == [], title


def test_a_metric_or_label_that_there_is_not_is_noticed() -> None:
    """The check sees a wrong name, a wrong label to match or to group by, and a wrong query."""
    known = {"a_total": frozenset({"task"}), "b_bucket": frozenset({"le"})}
    assert promql.unknown_names('sum by (task) (rate(a_total{task="x"}[5m]))', known) == []
    assert promql.unknown_names("rate(b_total[5m])", known) == ["b_total"]
    assert promql.unknown_names('a_total{tsk="x"}', known) == ["a_total{tsk}"]
    assert promql.unknown_names("sum by (task, le) (rate(b_bucket[5m]))", known) == ["by (task)"]
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        promql_parser.parse("sum by (task (a_total)")


def test_every_metric_is_on_the_dashboard() -> None:
    """Nothing is measured that nobody can see."""
    shown = " ".join(query for _, query in promql.panel_queries())
    suffixes = ("_bucket", "_sum", "_count")
    names = {
        name.removesuffix(next((s for s in suffixes if name.endswith(s)), ""))
        for name in every_metric()
        if name.startswith("tidemill_")
    }
    assert [name for name in sorted(names) if name not in shown] == []


def test_every_metric_and_alert_is_explained() -> None:
    """docs/observability.md has each metric's and each alert's name."""
    text = (ROOT / "docs" / "observability.md").read_text("utf-8")
    metrics = Metrics(Labels((), (), ()), "0.1.0")
    counters = {"counter": "_total"}
    names = [f.name + counters.get(f.type, "") for f in metrics.registry.collect()]
    names += [f"tidemill_{name}" for name in GAUGES]
    names += [name for name, _ in promql.alert_queries()]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_panels_are_complete() -> None:
    """Each has an id of its own, a description, a unit, and asks the provisioned datasource."""
    panels = promql.panels()
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["description"], panel["title"]
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert {source["uid"] for source in sources} == {datasource()["uid"]}, panel["title"]
        if panel["type"] != "heatmap":
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]


def test_every_variable_of_a_query_is_defined() -> None:
    """Whatever Grafana must fill in is a variable of the dashboard, or Grafana's own."""
    names = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert names == {"task"}
    assert not [query for _, query in promql.panel_queries() if "$" in query]


def test_grafana_finds_what_is_provisioned() -> None:
    """The datasource is compose's Prometheus, and the dashboards lie where the provider looks."""
    text = (PROVISIONING / "dashboards" / "tidemill.yml").read_text("utf-8")
    (provider,) = yaml.safe_load(text)["providers"]
    mounts = volumes("grafana")
    assert mounts[provider["options"]["path"]]["source"] == "./deploy/grafana/dashboards"
    assert mounts["/etc/grafana/provisioning"]["source"] == "./deploy/grafana/provisioning"
    assert datasource()["url"] == "http://prometheus:9090"
    assert "prometheus" in SERVICES


def test_prometheus_scrapes_the_front_and_triton() -> None:
    """Each target is a service, or its alias, on a network that both are on, at its port."""
    targets = {
        job["job_name"]: job["static_configs"][0]["targets"] for job in SCRAPED["scrape_configs"]
    }
    ports = {"tidemill": default("metrics_port"), "triton": default("triton_metrics_port")}
    hosts = {"tidemill": "server", "triton": "triton"}
    assert targets == {job: [f"{hosts[job]}:{ports[job]}"] for job in hosts}
    for name in ("server", "triton", "grafana"):
        assert set(SERVICES[name]["networks"]) & set(SERVICES["prometheus"]["networks"])
    assert f"--metrics-port={ports['triton']}" in SERVICES["triton"]["command"]


def test_prometheus_has_its_files() -> None:
    """The configuration, and the alerts that it names, are mounted together."""
    mounted = volumes("prometheus")["/etc/prometheus"]
    assert (mounted["source"], mounted["read_only"]) == ("./deploy/prometheus", True)
    for name in ("prometheus.yml", *SCRAPED["rule_files"]):
        assert (ROOT / "deploy" / "prometheus" / name).is_file()
    assert "--config.file=/etc/prometheus/prometheus.yml" in SERVICES["prometheus"]["command"]


def test_monitoring_is_started_only_where_it_is_asked_for() -> None:
    """Its services are in a profile that is not the default."""
    services = {name for name, s in SERVICES.items() if s.get("profiles") == ["monitoring"]}
    assert services == {"prometheus", "grafana"}
    assert COMPOSE["services"]["server"]["environment"]["TIDEMILL_METRICS_HOST"] == "0.0.0.0"  # noqa: S104 -- in its container


def test_grafana_knows_no_password() -> None:
    """Whoever reaches it may look and change nothing: there is no account to guess."""
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    assert environment["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"] == "true"
    assert not [name for name in environment if "PASSWORD" in name]
