"""Quality: accuracy, drift and latency over time, and the texts behind a signal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from tidemill.v1 import monitoring_service_pb2 as pb
from tidemill.v1 import prediction_service_pb2 as prediction_pb
from tidemill_server.console import questions
from tidemill_server.console.formats import iso, plain, word
from tidemill_server.console.pages import evidently
from tidemill_server.console.plots import Bar, Point
from tidemill_server.console.routes import get
from tidemill_server.console.visit import Visit
from tidemill_server.gateway.problem import Failed

_REPORTS = 60
_TEXTS = 20
"""Most texts of a report's page; each is one question."""
_BARS = 24

Details = Mapping[str, Any]


@dataclass(frozen=True)
class Signal:
    """One signal of a drift report.

    Attributes:
        name: what was compared.
        drifted: whether it drifted.
        distance: how far apart the two are; None if it was not measured.
        p_value: the probability of such a distance by chance; None if unknown.
        bars: the shares of the reference and of the window, those that moved most.
        prediction_ids: examples.
        note: why it was not measured; may be empty.
    """

    name: str
    drifted: bool
    distance: float | None
    p_value: float | None
    bars: list[Bar]
    prediction_ids: Sequence[str]
    note: str


@dataclass(frozen=True)
class Text:
    """A text behind a signal."""

    prediction_id: str
    text: str
    label: str
    confidence: float


async def show(visit: Visit) -> Response:
    """Show the newest reports and their history."""
    accuracy = await questions.reports(visit, visit.task, "accuracy", _REPORTS)
    drift = await questions.reports(visit, visit.task, "drift", _REPORTS)
    latency = await questions.reports(visit, visit.task, "latency", _REPORTS)
    newest = _details(accuracy)
    return visit.show(
        "quality.html",
        accuracy=accuracy[0] if accuracy else None,
        newest=newest,
        accuracy_points=list(_accuracy_points(accuracy)),
        limit=_accuracy_limit(newest),
        drift=drift[0] if drift else None,
        drift_details=_details(drift),
        signals=signals_of(_details(drift)),
        drift_points=list(_drift_points(drift)),
        latency=latency[0] if latency else None,
        latency_details=_details(latency),
        latency_points=list(_latency_points(latency)),
        has_evidently=bool(await evidently.newest_page(visit)),
    )


async def report(visit: Visit) -> Response:
    """Show one report with the texts behind it."""
    request = pb.GetReportRequest(report_id=visit.request.path_params["report_id"])
    found = (await visit.ask(request, pb.GetReportResponse)).report
    details = plain(found.details)
    signals = signals_of(details)
    topics = details.get("new_topics", [])
    groups = [(each.name, each.prediction_ids) for each in signals if each.drifted]
    groups += [(", ".join(each["terms"]), each["example_prediction_ids"]) for each in topics]
    return visit.show(
        "report.html",
        report=found,
        details=details,
        signals=signals,
        texts=await _texts(visit, groups),
        may_read=visit.may("predict"),
    )


def signals_of(details: Details) -> list[Signal]:
    """Return the signals of a drift report, those that drifted first."""
    found = [
        Signal(
            name=str(each["signal"]).replace("_", " "),
            drifted=bool(each.get("drifted")),
            distance=each.get("distance"),
            p_value=each.get("p_value"),
            bars=_bars(each),
            prediction_ids=each.get("example_prediction_ids", ()),
            note=str(each.get("note") or ""),
        )
        for each in details.get("signals", ())
    ]
    return sorted(found, key=lambda each: not each.drifted)


def _bars(signal: Details) -> list[Bar]:
    """Return the shares of a signal: all in their order, or those that moved most if many."""
    names = [str(name) for name in signal.get("bins", ())]
    before, now = signal.get("reference_shares", ()), signal.get("window_shares", ())
    bars = [Bar(*each) for each in zip(names, before, now, strict=False)]
    if len(bars) > _BARS:
        bars = sorted(bars, key=lambda bar: -abs(bar.window - bar.reference))[:_BARS]
    return bars


async def _texts(
    visit: Visit, groups: Iterable[tuple[str, Sequence[str]]]
) -> list[tuple[str, list[Text]]]:
    """Return stored texts by signal; those that are gone, or were never stored, are missing."""
    left, found = _TEXTS, []
    if not visit.may("predict"):
        return []
    for name, ids in groups:
        wanted = ids[: min(5, left)]
        texts = [text for each in wanted if (text := await _text(visit, each)) is not None]
        left -= len(wanted)
        found.append((name, texts))
    return found


async def _text(visit: Visit, prediction_id: str) -> Text | None:
    request = prediction_pb.GetPredictionRequest(prediction_id=prediction_id)
    try:
        answer = await visit.ask(request, prediction_pb.GetPredictionResponse)
    except Failed:  # it is erased, or belongs to a task that the caller may not see
        return None
    if not answer.text:
        return None
    made = answer.prediction
    return Text(prediction_id, answer.text, made.label, made.confidence)


def _details(reports: Sequence[pb.Report]) -> Details:
    return plain(reports[0].details) if reports else {}


def _accuracy_limit(details: Details) -> float | None:
    baseline = details.get("baseline_accuracy")
    return None if baseline is None else baseline - details.get("max_accuracy_drop", 0.0)


def _accuracy_points(reports: Sequence[pb.Report]) -> Iterable[Point]:
    for each in reversed(reports):
        found = plain(each.details)
        value = found.get("accuracy")
        if value is not None:
            low, high = found.get("accuracy_low", value), found.get("accuracy_high", value)
            yield Point(iso(each.create_time), value, low, high, each.summary, _is_bad(each))


def _drift_points(reports: Sequence[pb.Report]) -> Iterable[Point]:
    for each in reversed(reports):
        found = plain(each.details)
        measured = [signal.get("distance") for signal in found.get("signals", ())]
        distances = [each for each in measured if each is not None]
        if distances:
            value = max(distances)
            yield Point(iso(each.create_time), value, value, value, each.summary, _is_bad(each))


def _latency_points(reports: Sequence[pb.Report]) -> Iterable[Point]:
    for each in reversed(reports):
        found = plain(each.details)
        value = found.get("p99_latency_ms")
        if value is not None:
            low = found.get("p50_latency_ms", value)
            yield Point(iso(each.create_time), value, low, value, each.summary, _is_bad(each))


def _is_bad(report: pb.Report) -> bool:
    return word(report, "verdict") == "alert"


ROUTES = (
    get("/t/{task}/quality", show),
    get("/t/{task}/quality/report/{report_id}", report),
)
