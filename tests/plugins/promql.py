"""Prometheus queries, compared with scraped metrics."""

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
    """Return the dashboard's panels, without its rows."""
    found = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def panel_queries() -> Iterator[tuple[str, str]]:
    """Return each panel's title with each of its queries, as Grafana sends them."""
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in _VARIABLES.items():
                query = query.replace(name, value)
            yield panel["title"], query


def alert_queries() -> Iterator[tuple[str, str]]:
    """Return each alert's name and query."""
    for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def scrape(pages: Iterable[str]) -> Scrape:
    """Return the samples of pages in Prometheus's text format, and `up`, which Prometheus adds.

    Names stay as they are on the pages; prometheus_client's parser would change them.
    """
    found: dict[str, frozenset[str]] = {"up": frozenset()}
    for page in pages:
        for name, labels in _SAMPLE.findall(page):
            found[name] = found.get(name, frozenset()) | set(_LABEL.findall(labels))
    return found


def metrics_of(query: str) -> list[str]:
    """Return the names of a query's metrics."""
    return [name for name, _ in _selectors(promql_parser.parse(query))]


def unknown_names(query: str, known: Scrape) -> list[str]:
    """Return metrics and labels of a query that are not in a scrape.

    Raises:
        ValueError: the query is invalid.
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
