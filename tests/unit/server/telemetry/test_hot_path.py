"""Hot-path metrics against those of prometheus_client."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from tidemill_server.telemetry.hot_path import Count, Distribution, Level

BOUNDS = (0.5, 1.0, 10.0)


def histogram(registry: CollectorRegistry) -> Histogram:
    """Return a histogram of three buckets and the one beyond."""
    return Histogram("seen", "Seen.", registry=registry, buckets=BOUNDS)


@given(st.lists(st.sampled_from([0.0, 0.4, 0.5, 0.6, 1.0, 9.5, 10.0, 11.0])))
def test_a_distribution_is_what_the_histogram_would_have_seen(values: list[float]) -> None:
    """Every bucket, the count and the sum are the same."""
    direct, hot = CollectorRegistry(), CollectorRegistry()
    expected, distribution = histogram(direct), Distribution(histogram(hot))
    for value in values:
        expected.observe(value)
        distribution.observe(value)
    found = {(s.name, s.labels.get("le")): s.value for m in hot.collect() for s in m.samples}
    for metric in direct.collect():
        for sample in (s for s in metric.samples if not s.name.endswith("_created")):
            assert abs(found[sample.name, sample.labels.get("le")] - sample.value) < 1e-9


def test_counts_and_levels_are_the_metrics_own() -> None:
    """Changes are visible immediately, and combine with the metric's own."""
    registry = CollectorRegistry()
    counter = Counter("done", "Done.", registry=registry)
    gauge = Gauge("running", "Running.", registry=registry)
    count, level = Count(counter), Level(gauge)
    count.inc()
    counter.inc(5)
    count.inc(2)
    level.inc()
    level.inc()
    level.dec()
    assert registry.get_sample_value("done_total") == 8
    assert registry.get_sample_value("running") == 1
