"""Queries of Prometheus against what was really scraped."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "tidemill.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"

Scrape = Mapping[str, frozenset[str]]
"""Names of samples, each with the names of its labels."""

_LABEL = re.compile(r'(\w+)="(?:[^"\\]|\\.)*"')
_SAMPLE = re.compile(r'^(\w+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? ', re.MULTILINE)
_GIVEN = {"job", "instance", "le"}
"""Labels that Prometheus adds to all that it scrapes, and those of a histogram's buckets."""
_VARIABLES = {"$__rate_interval": "1m", "$task": ".*"}


def panels() -> list[dict[str, Any]]:
    """The dashboard's panels, without its rows."""
    found = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def panel_queries() -> Iterator[tuple[str, str]]:
    """Every panel's title and each of its queries, as Grafana sends them."""
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in _VARIABLES.items():
                query = query.replace(name, value)
            yield panel["title"], query


def alert_queries() -> Iterator[tuple[str, str]]:
    """Every alert's name and query."""
    for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def scrape(pages: Iterable[str]) -> Scrape:
    """What is on pages in Prometheus's text format; and `up`, which Prometheus adds.

    Names are as they stand there, which prometheus_client's parser would not leave them.
    """
    found: dict[str, frozenset[str]] = {"up": frozenset()}
    for page in pages:
        for name, labels in _SAMPLE.findall(page):
            found[name] = found.get(name, frozenset()) | set(_LABEL.findall(labels))
    return found


def metrics_of(query: str) -> list[str]:
    """Names of the metrics that a query asks for."""
    return [name for name, _ in _selectors(promql_parser.parse(query))]


def strangers(query: str, known: Scrape) -> list[str]:
    """Metrics and labels of a query that are not in a scrape.

    Raises:
        ValueError: the query is none.
    """
    expression = promql_parser.parse(query)
    selectors = list(_selectors(expression))
    missing = [name for name, _ in selectors if name not in known]
    missing += [
        f"{name}{{{label}}}"
        for name, labels in selectors
        for label in labels
        if name in known and label not in known[name] | _GIVEN
    ]
    for labels, inner in _aggregations(expression):
        below = [known.get(name, frozenset()) for name, _ in _selectors(inner)]
        missing += [
            f"by ({label})" for label in labels if not all(label in each | _GIVEN for each in below)
        ]
    return missing


def _selectors(expression: promql_parser.Expr) -> Iterator[tuple[str, list[str]]]:
    for node in _nodes(expression):
        if isinstance(node, promql_parser.VectorSelector):
            yield str(node.name), [matcher.name for matcher in node.matchers.matchers]


def _aggregations(
    expression: promql_parser.Expr,
) -> Iterator[tuple[list[str], promql_parser.Expr]]:
    for node in _nodes(expression):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            yield node.modifier.labels, node.expr


def _nodes(expression: promql_parser.Expr) -> list[promql_parser.Expr]:
    found: list[promql_parser.Expr] = []
    promql_parser.walk(expression, found.append)
    return found
