"""The page of a replay: what happened, for a manager, and how one can tell, for an engineer."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tidemill_cli import html_page
from tidemill_cli.html_page import text
from tidemill_cli.output import percent
from tidemill_cli.replaying import people
from tidemill_cli.replaying.chart import (
    FROZEN,
    LOOP,
    Axes,
    change,
    chart,
    curve,
    dot,
    mark,
    span,
)
from tidemill_cli.section import Section
from tidemill_core.counted import counted

Values = Mapping[str, Any]


def replay_page(outcome: Values) -> str:
    """Return the page of an outcome, as `outcome_of` and the command make it."""
    labels, feedback = outcome["labels"], outcome["feedback"]
    fields = {
        "data": outcome["data"],
        "first model": f"learned {counted(outcome['train_rows'], 'row')} "
        f"before {outcome['train_before']}",
        "replayed": f"{counted(outcome['rows'], 'row')} until {outcome['until']}, "
        f"seed {outcome['seed']}",
        "labels by people": f"{sum(labels.values()):,}, "
        f"{percent(sum(labels.values()) / outcome['rows'])} of the rows "
        f"({_counts(labels)})",
        "verdicts by users": f"{counted(feedback.get('corrections', 0), 'correction')}, of them "
        f"{feedback.get('mistakes', 0)} wrong; "
        f"{counted(feedback.get('confirmations', 0), 'confirmation')}",
        "time of the machine": f"{counted(round(outcome['seconds'] / 60), 'minute')}, of them "
        f"{outcome['night_seconds'] / 60:.0f} for the nights' jobs",
    }
    title = f"{outcome['task']}: replay from {outcome['train_before']} to {outcome['until']}"
    return html_page.page(title, fields, _bodies(outcome))


def _bodies(outcome: Values) -> Iterator[str]:
    yield f"<p><strong>{text(headline(outcome))}</strong></p>\n"
    yield _accuracy(outcome)
    yield html_page.table(_periods(outcome["periods"]))
    yield html_page.table(_versions(outcome["versions"]))
    yield html_page.table(_alerts(outcome["alerts"]))
    yield _first_signs(outcome)
    yield _estimates(outcome)
    yield _method(outcome)


def headline(outcome: Values) -> str:
    """Return the result in a few sentences."""
    gain = outcome["gain"]
    points = f"{100 * gain['points']:+.1f} points"
    interval = f"{100 * gain['low']:+.1f} to {100 * gain['high']:+.1f}"
    answered = sum(1 for version in outcome["versions"] if version["rows"])
    return (
        f"Tidemill answered {percent(outcome['accuracy'])} of {counted(outcome['rows'], 'text')} "
        "right. The first version alone would have answered "
        f"{percent(outcome['frozen_accuracy'])} right: "
        f"{points} (95 % interval {interval}). Versions that answered: {answered}. Texts that "
        f"people labeled: {sum(outcome['labels'].values()):,}."
    )


def _accuracy(outcome: Values) -> str:
    periods, length = outcome["periods"], _length(outcome["periods"])
    loop = [(_day(each["start"]) + length, each["accuracy"]) for each in periods]
    frozen = [(_day(each["start"]) + length, each["frozen_accuracy"]) for each in periods]
    end = _day(outcome["until"]) + timedelta(days=1)
    start = _day(outcome["train_before"])
    axes = Axes.around([*loop, *frozen, (start, loop[0][1])], end)
    changes = [
        change(axes, _moment(each["create_time"]), f"version {each['model_version']}")
        for each in outcome["versions"]
        if each["rows"]
    ]
    alerts = [
        mark(axes, _moment(each["create_time"]), "currentColor", f"alert: {each['kind']}")
        for each in outcome["alerts"]
    ]
    lines = [curve(axes, frozen, FROZEN), curve(axes, loop, LOOP)]
    return (
        "<h2>Accuracy over time</h2>\n"
        + chart("Accuracy over time", [*axes.grid(), *changes, *lines, *alerts])
        + f'<p><span style="color:{LOOP}">■</span> Tidemill &nbsp; '
        f'<span style="color:{FROZEN}">■</span> the first version alone, on the same rows &nbsp; '
        "┆ a new version answers &nbsp; ▲ an alert</p>\n"
    )


def _length(periods: Sequence[Values]) -> timedelta:
    """Return half of a period, at which its point is drawn."""
    if len(periods) < 2:
        return timedelta()
    return (_day(periods[1]["start"]) - _day(periods[0]["start"])) / 2


def _periods(periods: Sequence[Values]) -> Section:
    rows = [
        (
            each["start"],
            each["rows"],
            percent(each["frozen_accuracy"]),
            f"{100 * (each['accuracy'] - each['frozen_accuracy']):+.1f}",
            percent(each["accuracy"]),
        )
        for each in periods
    ]
    columns = ("from", "rows", "first version", "points", "Tidemill")
    return Section("Accuracy by period", columns, rows, [each["accuracy"] for each in periods])


def _versions(versions: Sequence[Values]) -> Section:
    rows = [
        (
            each["model_version"],
            each["create_time"][:10],
            each["trained_because"],
            each["rows"] or "",
            _share(each["accuracy"]),
            _share(each["frozen_accuracy"]),
            f"{each['state']}: {each['reason']}",
        )
        for each in versions
    ]
    columns = (
        "version",
        "trained",
        "because",
        "rows answered",
        "right",
        "first version on these rows",
        "decision",
    )
    return Section("Versions", columns, rows)


def _alerts(alerts: Sequence[Values]) -> Section:
    rows = [
        (
            each["kind"],
            each["create_time"][:10],
            (each["resolve_time"] or "still open")[:10],
            each["message"],
        )
        for each in alerts
    ]
    return Section("Alerts", ("kind", "raised", "resolved", "finding"), rows)


def _first_signs(outcome: Values) -> str:
    """Return how late the checks found that something moves."""
    found = []
    for kind in ("drift", "accuracy"):
        times = [
            _moment(report["create_time"])
            for report in outcome[f"{kind}_reports"]
            if report["verdict"] == "ALERT"
        ]
        count = len(outcome[f"{kind}_reports"])
        if times:
            days = (min(times) - _day(outcome["train_before"])).days
            found.append(f"{kind}: {len(times)} of {count}, the first after {counted(days, 'day')}")
        else:
            found.append(f"{kind}: none of {count}")
    return f"<p>Checks that found a problem: {text('; '.join(found))}.</p>\n"


def _estimates(outcome: Values) -> str:
    """Return what the accuracy checks believed, over what was true: they do not see the truth."""
    reports = [
        each
        for each in outcome["accuracy_reports"]
        if each["true_accuracy"] is not None and each["accuracy_low"] is not None
    ]
    title = "What the accuracy checks estimated"
    if not reports:
        return f"<h2>{title}</h2>\n<p>No check had enough evidence for an estimate.</p>\n"
    ends = [
        (_moment(each["create_time"]), each[name])
        for each in reports
        for name in ("accuracy_low", "accuracy_high", "true_accuracy")
    ]
    axes = Axes.around(ends, max(moment for moment, _ in ends))
    bars = [
        span(axes, _moment(each["create_time"]), each["accuracy_low"], each["accuracy_high"], LOOP)
        for each in reports
    ]
    dots = [
        dot(axes, _moment(each["create_time"]), each["true_accuracy"], FROZEN, "the truth")
        for each in reports
    ]
    held = sum(e["accuracy_low"] <= e["true_accuracy"] <= e["accuracy_high"] for e in reports)
    return (
        f"<h2>{title}</h2>\n{chart(title, [*axes.grid(), *bars, *dots])}"
        "<p>Each bar is a check's interval from labels and verdicts; each dot is the true accuracy "
        f"of its window, which no check sees. Intervals that hold it: {held} of {len(reports)}."
        "</p>\n"
    )


def _method(outcome: Values) -> str:
    sentences = (
        "Every row was sent to a real server with a real Triton, in the order of the rows' times, "
        "under a simulated clock. Scheduled jobs ran at midnight.",
        f"Users correct {people.CORRECTED:.0%} of the wrong answers, and {people.MISTAKEN:.0%} of "
        f"their corrections are wrong; they confirm {people.CONFIRMED:.0%} of the right answers.",
        f"Annotators label the texts that Tidemill chooses, at most {people.LABELED:.0%} of the "
        "traffic, and make no mistakes.",
        "The first version answered the same rows from its own files in the same Triton.",
        f"Without an answer, which counts as wrong: {counted(outcome['unanswered'], 'row')}. "
        f"Without a text, label or time: {counted(outcome['skipped_rows'], 'row')} of the data.",
    )
    items = "".join(f"<li>{text(sentence)}</li>\n" for sentence in sentences)
    return f"<h2>How it was done</h2>\n<ul>\n{items}</ul>\n"


def _counts(labels: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name.lower()}" for name, count in sorted(labels.items())) or "none"


def _share(value: float | None) -> str:
    return "" if value is None else percent(value)


def _day(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


def _moment(written: str) -> datetime:
    return datetime.fromisoformat(written)
