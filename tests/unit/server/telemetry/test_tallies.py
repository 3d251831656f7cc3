"""What hot paths count in plain Python arrives in the metrics."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram

from tidemill_server.telemetry.tallies import Count, Distribution

BOUNDS = (0.5, 1.0, 10.0)
VALUES = st.lists(st.sampled_from([0.0, 0.4, 0.5, 0.6, 1.0, 9.5, 10.0, 11.0]))


def histogram(registry: CollectorRegistry) -> Histogram:
    """A histogram of three buckets, and the one beyond."""
    return Histogram("seen", "Seen.", registry=registry, buckets=BOUNDS)


@given(st.lists(VALUES))
def test_a_distribution_is_what_the_histogram_would_have_seen(flushes: list[list[float]]) -> None:
    """However often it is flushed, every bucket, the count and the sum are the same."""
    direct, tallied = CollectorRegistry(), CollectorRegistry()
    expected, distribution = histogram(direct), Distribution(histogram(tallied))
    for values in flushes:
        for value in values:
            expected.observe(value)
            distribution.observe(value)
        distribution.flush()
        distribution.flush()  # nothing has come since, so nothing is seen twice
    found = {(s.name, s.labels.get("le")): s.value for m in tallied.collect() for s in m.samples}
    for metric in direct.collect():
        for sample in (s for s in metric.samples if not s.name.endswith("_created")):
            assert abs(found[sample.name, sample.labels.get("le")] - sample.value) < 1e-9


def test_a_count_is_brought_over_once() -> None:
    """The counter has what was counted, and only what came since the last time is added."""
    registry = CollectorRegistry()
    count = Count(Counter("done", "Done.", registry=registry))
    for _ in range(3):
        count.inc()
        count.inc(2)
        count.flush()
        count.flush()
    assert registry.get_sample_value("done_total") == 9
