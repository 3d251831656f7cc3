"""Triton's own counters of a model, and what they say about the time since an earlier look."""

import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from tidemill_core.loopback import is_loopback
from tidemill_core.triton.addresses import DNS, is_dns, resolved

Counters = Mapping[str, float]

_SECONDS = 5.0
_COUNTERS = {
    "nv_inference_request_success": "success_count",
    "nv_inference_request_failure": "failure_count",
    "nv_inference_queue_duration_us": "queue_us",
    "nv_inference_compute_infer_duration_us": "compute_us",
}


def pages(target: str, urls: str) -> list[str]:
    """Return the URL of each Triton's metrics.

    Args:
        target: the Tritons; see `addresses.named`.
        urls: of their metrics, separated by commas; may be empty.
    """
    named = [url.strip() for url in urls.split(",") if url.strip()]
    return [each for url in named for each in _of_each_address(url)] if is_dns(target) else named


def _of_each_address(url: str) -> list[str]:
    place = urlsplit(url)
    try:
        addresses = resolved(f"{DNS}{place.hostname}:{place.port or 80}")
    except OSError:
        return [url]
    return [place._replace(netloc=address).geturl() for address in addresses]


def read_counters(urls: Iterable[str], model: str, version: int) -> dict[str, Counters]:
    """Return the counters of a model's version, by the URL; without Tritons that do not answer.

    Args:
        urls: of the metrics of each Triton.
        model: `<task>-<format>`.
        version: the version.
    """
    found = {}
    for url in urls:
        with suppress(OSError, ValueError):
            with _opener(url).open(url, timeout=_SECONDS) as response:
                page = response.read().decode()
            found[url] = _counters(page, {"model": model, "version": str(version)})
    return found


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return what opens a URL: on this machine without a proxy, whose variables name no [::1]."""
    own = is_loopback(urlsplit(url).hostname or "")
    return urllib.request.build_opener(*[urllib.request.ProxyHandler({})] * own)


def since(before: Mapping[str, Counters], now: Mapping[str, Counters]) -> Mapping[str, float]:
    """Return failures, and the mean times of a call in ms, since earlier counters, of all Tritons.

    A counter that has become smaller starts again at 0, because that Triton has restarted.
    """
    new: Counter[str] = Counter()
    for url, counters in now.items():
        earlier = before.get(url) or {}
        restarted = any(counters[name] < earlier.get(name, 0.0) for name in counters)
        new.update(counters)
        new.subtract({} if restarted else earlier)
    found: dict[str, float] = {"triton_failure_count": float(new["failure_count"])}
    if calls := new["success_count"]:
        found["triton_queue_ms"] = new["queue_us"] / calls / 1000
        found["triton_compute_ms"] = new["compute_us"] / calls / 1000
    return found


def _counters(page: str, labels: Mapping[str, str]) -> Counters:
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            name = _COUNTERS.get(sample.name.removesuffix("_total"))  # the parser adds it
            if name and labels.items() <= sample.labels.items():
                sums[name] = sums.get(name, 0.0) + sample.value
    return sums
