"""Triton's own counters of a model, and what they say about the time since an earlier look."""

import urllib.request
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

Counters = Mapping[str, float]

_SECONDS = 5.0
_COUNTERS = {
    "nv_inference_request_success": "success_count",
    "nv_inference_request_failure": "failure_count",
    "nv_inference_queue_duration_us": "queue_us",
    "nv_inference_compute_infer_duration_us": "compute_us",
}


def read_counters(url: str, model: str, version: int) -> Counters | None:
    """Return the counters of a model's version; None if Triton cannot be asked.

    Args:
        url: Triton's metrics; empty if they are not known.
        model: `<task>-<format>`.
        version: the version.
    """
    if not url:
        return None
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as response:  # noqa: S310 -- a setting
            page = response.read().decode()
        return _counters(page, {"model": model, "version": str(version)})
    except (OSError, ValueError):
        return None


def since(before: Counters | None, now: Counters) -> Mapping[str, float]:
    """Return failures, and the mean times of a call in ms, since earlier counters.

    A counter that has become smaller starts again at 0, because Triton has restarted.
    """
    before = before or {}
    restarted = any(now[name] < before.get(name, 0.0) for name in now)
    new = {name: now[name] - (0.0 if restarted else before.get(name, 0.0)) for name in now}
    found: dict[str, float] = {"triton_failure_count": new.get("failure_count", 0.0)}
    if calls := new.get("success_count"):
        found["triton_queue_ms"] = new.get("queue_us", 0.0) / calls / 1000
        found["triton_compute_ms"] = new.get("compute_us", 0.0) / calls / 1000
    return found


def _counters(page: str, labels: Mapping[str, str]) -> Counters:
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            name = _COUNTERS.get(sample.name.removesuffix("_total"))  # the parser adds it
            if name and labels.items() <= sample.labels.items():
                sums[name] = sums.get(name, 0.0) + sample.value
    return sums
