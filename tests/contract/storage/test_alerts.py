"""The tables of alerts: one alert a problem, and its deliveries."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.contract.storage.values import NOW, later, report
from tidemill_core.domain.alert import Alert, AlertEvent, Severity, Silence
from tidemill_core.domain.report import ReportVerdict
from tidemill_core.errors import NotFound
from tidemill_core.storage.alert_outbox import CLAIM
from tidemill_core.storage.database import Page
from tidemill_core.storage.storage import Storage

HOUR = timedelta(hours=1)
SINKS = ("log", "slack")


def _raise(
    storage: Storage,
    report_id: str,
    seconds: float = 0,
    severity: Severity = Severity.WARNING,
    kind: str = "drift",
) -> Alert:
    written = replace(report(report_id, ReportVerdict.ALERT, kind), create_time=later(seconds))
    return storage.alerts.raise_alert(written, severity, "look", SINKS, HOUR)


def _resolve(storage: Storage, report_id: str, seconds: float) -> Alert | None:
    return storage.alerts.resolve_alert(replace(report(report_id), create_time=later(seconds)))


def _due(storage: Storage, seconds: float) -> list[tuple[str, AlertEvent]]:
    found = storage.alert_outbox.due(SINKS, later(seconds))
    return [(delivery.sink, delivery.event) for delivery in found]


def _send_all(storage: Storage, seconds: float) -> list[AlertEvent]:
    """Send what is due until nothing is, and return what the log got."""
    sent = []
    while due := storage.alert_outbox.due(SINKS, later(seconds)):
        for delivery in due:
            assert storage.alert_outbox.claim(delivery, later(seconds))
            storage.alert_outbox.mark_sent(delivery, later(seconds))
            sent += [delivery.event] if delivery.sink == "log" else []
    return sent


def _silence(storage: Storage, end: float, task: str = "", kind: str = "") -> None:
    storage.silences.add(Silence(f"s{end}", task, kind, "ana", "outage", NOW, later(end)))


def test_one_alert_a_problem(storage: Storage) -> None:
    """Later reports of the problem update its alert, and are not sent again."""
    first = _raise(storage, "a")
    assert (first.report_id, first.message, first.create_time) == ("a", "labels moved", NOW)
    second = _raise(storage, "b", 60)
    assert (second.alert_id, second.report_id, second.update_time) == (
        *(first.alert_id, "b", later(60)),
    )
    assert storage.reports.get("b").verdict is ReportVerdict.ALERT
    assert _raise(storage, "c", kind="latency").alert_id != first.alert_id
    assert storage.alerts.page("support", False, True, Page())[0][1] == second
    assert storage.alerts.page("arxiv", False, False, Page())[0] == []
    assert _send_all(storage, 60) == [AlertEvent.TRIGGER, AlertEvent.TRIGGER]


def test_an_acknowledged_alert_stays_one(storage: Storage) -> None:
    """The first acknowledgement stays and is sent, and the problem raises no second alert."""
    alert = _raise(storage, "a")
    taken = storage.alerts.acknowledge(alert.alert_id, "ana", later(5))
    assert (taken.acknowledged_by, taken.acknowledge_time) == ("ana", later(5))
    assert storage.alerts.acknowledge(alert.alert_id, "ben", later(9)) == taken
    assert _raise(storage, "b", 10).alert_id == alert.alert_id
    assert storage.alerts.page("", True, False, Page())[0] == []
    assert _send_all(storage, 10) == [AlertEvent.TRIGGER, AlertEvent.ACKNOWLEDGE]
    with pytest.raises(NotFound, match="alert"):
        storage.alerts.acknowledge("none", "ana", NOW)


def test_resolved(storage: Storage) -> None:
    """A problem that is over resolves its alert once, and a later one is a new alert."""
    assert _resolve(storage, "ok", 0) is None
    alert = _raise(storage, "a", 1)
    resolved = _resolve(storage, "b", 60)
    assert resolved == replace(alert, resolve_time=later(60))
    assert _resolve(storage, "c", 61) is None
    assert storage.alerts.page("", False, True, Page())[0] == []
    assert storage.alerts.page("", True, False, Page())[0] == []
    assert _send_all(storage, 61) == [AlertEvent.TRIGGER, AlertEvent.RESOLVE]
    assert _raise(storage, "d", 60 + 3600).alert_id != alert.alert_id


def test_a_problem_that_comes_and_goes_is_sent_once_in_a_cool_down(storage: Storage) -> None:
    """It opens its alert again, which is sent when the cool-down ends if it still is open."""
    alert = _raise(storage, "a")
    _resolve(storage, "b", 60)
    assert _send_all(storage, 60) == [AlertEvent.TRIGGER, AlertEvent.RESOLVE]
    for minute in range(2, 20, 2):
        again = _raise(storage, f"a{minute}", minute * 60)
        assert (again.alert_id, again.resolve_time) == (alert.alert_id, None)
        _resolve(storage, f"b{minute}", minute * 60 + 60)
    assert _send_all(storage, 3000) == []
    _raise(storage, "c", 3000)
    assert _due(storage, 3001) == []
    assert _send_all(storage, 3600 + 19 * 60) == [AlertEvent.TRIGGER]


def test_a_problem_that_gets_worse_is_sent_again(storage: Storage) -> None:
    """A more severe report sends the alert again, and a less severe one leaves it as it is."""
    _raise(storage, "a")
    _send_all(storage, 0)
    assert _raise(storage, "b", 1, Severity.CRITICAL).severity is Severity.CRITICAL
    assert _send_all(storage, 1) == [AlertEvent.TRIGGER]
    assert _raise(storage, "c", 2).severity is Severity.CRITICAL
    assert _send_all(storage, 2) == []


def test_a_sink_that_is_added_gets_the_open_alert(storage: Storage) -> None:
    """The next report of an open problem is sent to the sinks that do not know it."""
    _raise(storage, "a")
    _send_all(storage, 0)
    more = (*SINKS, "smtp")
    storage.alerts.raise_alert(report("b", ReportVerdict.ALERT), Severity.WARNING, "", more, HOUR)
    assert [each.sink for each in storage.alert_outbox.due(more, later(1))] == ["smtp"]


def test_events_of_an_alert_are_in_order(storage: Storage) -> None:
    """An event waits until the sink has the one before, however long that takes."""
    _raise(storage, "a")
    [log, slack] = storage.alert_outbox.due(SINKS, later(1))
    _resolve(storage, "b", 10)
    storage.alert_outbox.claim(log, later(11))
    storage.alert_outbox.mark_sent(log, later(11))
    assert _due(storage, 12) == [("slack", AlertEvent.TRIGGER), ("log", AlertEvent.RESOLVE)]
    storage.alert_outbox.mark_refused(slack, "no", later(600))
    assert _due(storage, 12) == [("log", AlertEvent.RESOLVE)]


def test_one_sender_a_delivery(storage: Storage, second_storage: Storage) -> None:
    """Of two senders one gets it; when it dies, the claim ends and another one may."""
    _raise(storage, "a")
    [delivery, _] = storage.alert_outbox.due(SINKS, NOW)
    assert storage.alert_outbox.claim(delivery, NOW)
    assert not second_storage.alert_outbox.claim(delivery, NOW)
    assert [sink for sink, _ in _due(storage, CLAIM.total_seconds() - 1)] == ["slack"]
    [again, _] = second_storage.alert_outbox.due(SINKS, NOW + CLAIM)
    assert (again.delivery_id, again.attempts) == (delivery.delivery_id, 1)
    assert second_storage.alert_outbox.claim(again, NOW + CLAIM)


def test_a_sink_that_does_not_answer_is_left_alone(storage: Storage) -> None:
    """All its deliveries wait, later ones too; those of other sinks do not."""
    _raise(storage, "a")
    [_, slack] = storage.alert_outbox.due(SINKS, NOW)
    storage.alert_outbox.mark_unanswered(slack, "429", later(3600))
    assert storage.alert_outbox.failures("slack") == 1
    _raise(storage, "b", kind="latency")
    assert [sink for sink, _ in _due(storage, 3599)] == ["log", "log"]
    assert [sink for sink, _ in _due(storage, 3600)].count("slack") == 2
    storage.alert_outbox.mark_sent(slack, later(3601))
    assert storage.alert_outbox.failures("slack") == 0


@pytest.mark.parametrize(
    ("task", "kind", "holds"),
    [("", "", True), ("support", "drift", True), ("arxiv", "", False), ("", "latency", False)],
)
def test_silences(storage: Storage, task: str, kind: str, holds: bool) -> None:
    """A silence holds back its alerts until it ends; then those that are unresolved are sent."""
    _silence(storage, 600, task, kind)
    _raise(storage, "a")
    assert bool(_due(storage, 1)) is not holds
    assert _send_all(storage, 600) == [AlertEvent.TRIGGER]


def test_a_problem_that_is_over_before_its_silence_is_not_sent(storage: Storage) -> None:
    """Neither it nor its end is sent; but the end of one that was sent before is."""
    _raise(storage, "before", kind="latency")
    _send_all(storage, 0)
    _silence(storage, 600)
    _raise(storage, "a", 1)
    _resolve(storage, "b", 60)
    storage.alerts.resolve_alert(replace(report("c", kind="latency"), create_time=later(61)))
    assert _send_all(storage, 61) == [AlertEvent.RESOLVE]
    assert _send_all(storage, 700) == []


def test_a_silence_that_is_ended(storage: Storage) -> None:
    """It holds nothing back from then on, and its end stays."""
    _silence(storage, 600)
    _raise(storage, "a")
    assert len(storage.silences.page(later(1), Page())[0]) == 1
    for moment, was_active in ((later(10), True), (later(20), False)):
        ended, changed = storage.silences.end("s600", moment)
        assert (ended.end_time, changed) == (later(10), was_active)
    assert _send_all(storage, 11) == [AlertEvent.TRIGGER]
    assert storage.silences.page(later(11), Page()) == ([], "")
    with pytest.raises(NotFound, match="silence"):
        storage.silences.end("none", NOW)


def test_short_ids(storage: Storage) -> None:
    """The first eight characters of an id name an alert, its report and a silence; fewer do not."""
    alert = _raise(storage, "report-01")
    _silence(storage, 60_000_000)
    assert storage.alerts.acknowledge(alert.alert_id[:8], "ana", later(5)).acknowledged_by == "ana"
    assert storage.reports.get("report-0").report_id == "report-01"
    assert storage.silences.end("s6000000", later(6))[0].end_time == later(6)
    for few in (storage.reports.get, lambda few: storage.silences.end(few, NOW)):
        with pytest.raises(NotFound):
            few("s600000")
    with pytest.raises(NotFound):
        storage.alerts.acknowledge(alert.alert_id[:7], "ana", NOW)


def test_pruned(storage: Storage) -> None:
    """The deliveries of alerts that were resolved long ago go, and unsent ones are counted."""
    _raise(storage, "a")
    _raise(storage, "open", kind="latency")
    _resolve(storage, "b", 60)
    assert storage.alert_outbox.prune(later(60)) == 0
    assert storage.alert_outbox.prune(later(61)) == 4
    assert _due(storage, 61) == [("log", AlertEvent.TRIGGER), ("slack", AlertEvent.TRIGGER)]


def test_pages(storage: Storage) -> None:
    """Pages have each alert once, newest first."""
    for place, kind in enumerate("abcde"):
        _raise(storage, kind, place, kind=kind)
    seen, token = storage.alerts.page("", False, False, Page(2))
    while token:
        more, token = storage.alerts.page("", False, False, Page.parse(2, token))
        seen += more
    assert "".join(each.kind for each in seen) == "edcba"
