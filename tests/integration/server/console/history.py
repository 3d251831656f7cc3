"""Three weeks in the life of a task, written to a workspace's database in one go."""

import random
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update

from tests.integration.server.console.report_details import accuracy_details, drift_details
from tests.integration.server.dataset_files import write_dataset_files
from tests.integration.server.front import Workspace
from tests.integration.server.models import LABELS
from tidemill_core.domain.alert import Severity
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_core.domain.feedback import Feedback, FeedbackHold, HoldReason
from tidemill_core.domain.gate import GateResult, GateVerdict
from tidemill_core.domain.job import Job, Trigger
from tidemill_core.domain.labeling import LabelReason, LabelRequest
from tidemill_core.domain.model import ModelState
from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.domain.preference import Preference
from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.prediction_id import PredictionClaims, PredictionIdSigner, load_keys
from tidemill_core.storage.deployments import Change
from tidemill_core.storage.gate_results import record_gate_results
from tidemill_core.storage.jobs import RunRequest
from tidemill_core.storage.schema import model_versions
from tidemill_core.text_hash import load_text_key

TASK = "support"
PAIRS = "answers"
CHAMPION = 2
SCRIPT = "<script>alert(1)</script>"
"""A text, a label, a comment and a file's name that a page must not run."""
TEXTS = (
    "My card was stolen on the train, please block it",
    "I was charged a fee twice for the same transfer",
    "How do I get my money back for a wrong payment?",
    "The app says that my password is wrong",
    "Where is the refund that you promised last week?",
    "My transfer to Spain has been pending for three days",
    "I cannot find the code for the login",
    "Why was my card declined at the petrol station?",
)
EXCLUDED = [
    *[("train.csv", f"train.csv:{n}", "DUPLICATE", "merged", "card") for n in range(2, 42)],
    ("train.csv", "train.csv:77", "TEXT_BLANK", "quarantined", SCRIPT),
]
_DAYS = 21


def write_history(workspace: Workspace, now: datetime, script: str = SCRIPT) -> None:
    """Write datasets, versions, runs, reports, alerts, predictions, verdicts and items.

    Args:
        workspace: the workspace.
        now: the end of the history.
        script: what some texts, comments and a label say.
    """
    _datasets(workspace, now, script)
    _versions(workspace, now)
    _runs(workspace, now, script)
    ids = _predictions(workspace, now, script)
    _reports(workspace, now, ids, script)
    _people(workspace, now, ids, script)


def _datasets(workspace: Workspace, now: datetime, script: str) -> None:
    counts = {"billing": 3120, "card": 2480, "login": 1490, "transfer": 1810}
    for number, days in ((1, _DAYS), (2, 6)):
        folder = workspace.folder / "var" / "datasets" / TASK / (str(number) * 64)
        write_dataset_files(folder, [(TEXTS[0].upper(), "card"), (script, "billing")], EXCLUDED)
        labels = {label: count * number // 2 for label, count in counts.items()}
        total = sum(labels.values())
        if number == 2:
            labels |= {script: 3}
        workspace.storage.datasets.add(
            DatasetVersion(
                dataset_version=str(number) * 64,
                task=TASK,
                uri=str(folder),
                row_counts={
                    "train": total * 8 // 10,
                    "validation": total // 10,
                    "test": total // 10,
                },
                label_counts=labels,
                label_source_counts={"source": total - 210, "feedback": 130, "human": 80},
                quarantine_counts={"DUPLICATE": 412, "TEXT_BLANK": 12, "TEXT_TOO_LONG": 3},
                create_time=now - timedelta(days=days),
                build_time=now - timedelta(days=days),
                source_counts={
                    "train.csv": {"kept": total - 9, "merged": 412, "quarantined": 15},
                    f"{script}.csv": {"kept": 9},
                },
                parents=("1" * 64,) if number == 2 else (),
                code_version="0.1.0",
            )
        )


def _confusion(right: int) -> dict[str, Any]:
    rows = [{"label": each, "answer": each, "rows": right} for each in LABELS]
    rows += [
        {"label": "billing", "answer": "transfer", "rows": 9},
        {"label": "transfer", "answer": "billing", "rows": 14},
        {"label": "login", "answer": "card", "rows": 5},
    ]
    return {"confusion": rows}


def _gates(accuracy: float, failed: bool = False) -> list[GateResult]:
    parts = [
        {"name": label, "rows": 90, "accuracy": accuracy + shift, "champion_accuracy": 0.88}
        for label, shift in zip(
            LABELS, (-0.11 if failed else -0.02, 0.02, 0.01, -0.04), strict=True
        )
    ]
    verdict = GateVerdict.FAILED if failed else GateVerdict.PASSED
    reason = "accuracy falls on billing" if failed else "none of 4 falls beyond chance"
    return [
        GateResult("accuracy", GateVerdict.PASSED, accuracy, 0.35, "on 360 rows", _confusion(80)),
        GateResult("classes", verdict, float(failed), 0.0, reason, {"parts": parts}),
        GateResult("calibration", GateVerdict.PASSED, 0.021, 0.05, "calibrated"),
        GateResult("speed", GateVerdict.NOT_APPLICABLE, None, None, "no champion to compare with"),
    ]


def _versions(workspace: Workspace, now: datetime) -> None:
    models = workspace.storage.models
    champion = (model_versions.c.task == TASK) & (model_versions.c.version == CHAMPION)
    with workspace.storage.database.write() as connection:
        record_gate_results(connection, TASK, CHAMPION, _gates(0.905))
        connection.execute(update(model_versions).where(champion).values(dataset_version="2" * 64))
    models.promote(TASK, CHAMPION, Change("bo", "better on billing", "", now - timedelta(hours=29)))
    for state, reason, failed in (
        (ModelState.REJECTED, "accuracy falls on billing (88.0% to 77.0%)", True),
        (ModelState.AWAITING_APPROVAL, "passed the gates; waits for an approval", False),
    ):
        version = models.add_candidate(TASK, "onnx", "2" * 64, now - timedelta(days=2)).version
        measures = {"accuracy": 0.918, "macro_f1": 0.907, "expected_calibration_error": 0.021}
        time = now - timedelta(days=1)
        models.judge(TASK, version, state, measures, reason, time, _gates(0.918, failed))


def _runs(workspace: Workspace, now: datetime, script: str) -> None:
    jobs = workspace.storage.jobs
    jobs.set_catalog(
        [
            Job("retrain", "Builds a dataset, trains, publishes, gates, and promotes", "at 02:00"),
            Job("check_drift", "Compares the champion's predictions with its hold-out", "hourly"),
            Job("check_feedback", "Starts a retraining once enough examples came in", "hourly"),
        ]
    )
    time = now - timedelta(hours=50)
    failed = jobs.enqueue(RunRequest("retrain", TASK, Trigger.SCHEDULE), time)
    jobs.claim(time)
    jobs.fail(failed.run_id, f"DATA_ERROR: no rows {script}", time + timedelta(minutes=1))
    done = {"new_examples": 642, "retrain_after": 1000, "decision": "TOO_FEW"}
    pages = workspace.folder / "var" / "reports" / TASK
    pages.mkdir(parents=True)
    script_of_page = "try { document.cookie } catch { document.body.append('no cookie') }"
    page = f"<h1>Evidently</h1><script>{script_of_page}</script>"
    (pages / "evidently.html").write_text(page)
    written = {"html": str(pages / "evidently.html")}
    for job, trigger, hours, result in (
        ("write_evidently", Trigger.SCHEDULE, 31.0, written),
        ("retrain", Trigger.CHECK_FEEDBACK, 30.0, {"model_version": 5}),
        ("check_drift", Trigger.SCHEDULE, 1.2, {}),
        ("check_feedback", Trigger.SCHEDULE, 0.2, done),
    ):
        time = now - timedelta(hours=hours)
        run = jobs.enqueue(RunRequest(job, TASK, trigger), time)
        jobs.claim(time)
        jobs.succeed(run.run_id, result, time + timedelta(minutes=4))
    running = jobs.enqueue(RunRequest("check_drift", TASK, Trigger.RPC), now)
    jobs.claim(now)
    jobs.beat(running.run_id, 0.45, "comparing 4,812 predictions with the reference", now)


def _predictions(workspace: Workspace, now: datetime, script: str) -> list[str]:
    signer = PredictionIdSigner(load_keys(workspace.folder / "var"))
    load_text_key(workspace.folder / "var")
    chance = random.Random(7)
    batch = []
    for number in range(400):
        time = now - timedelta(minutes=3.4 * number + 1)
        text = TEXTS[number % len(TEXTS)] if number % 50 else f"{script} {number}"
        label, confidence = chance.choice(LABELS), chance.uniform(0.45, 0.99)
        claims = PredictionClaims(TASK, CHAMPION, time, 1.0)
        answer = (text, label, confidence, (Score(label, confidence),), False)
        call = ("Predict", "", "", {}, 1.0, chance.uniform(2.0, 9.0), time)
        batch.append(Prediction(signer.sign(claims), TASK, CHAMPION, *answer, *call))
    workspace.storage.predictions.add(batch)
    return [each.prediction_id for each in batch]


def _reports(workspace: Workspace, now: datetime, ids: list[str], script: str) -> None:
    chance = random.Random(3)
    for day in range(_DAYS, -1, -1):
        time = now - timedelta(days=day, minutes=40)
        accuracy = 0.905 + 0.012 * chance.uniform(-1, 1) - 0.035 * max(0, 4 - day) / 4
        _report(
            workspace,
            "accuracy",
            time,
            accuracy_details(accuracy, (*LABELS, script), CHAMPION, ids),
            accuracy < 0.88,
        )
        _report(workspace, "drift", time, drift_details(day == 0, ids), day == 0)
    details = {
        "p50_latency_ms": 3.1,
        "p95_latency_ms": 7.4,
        "p99_latency_ms": 11.8,
        "max_p99_latency_ms": 50.0,
        "error_rate": 0.0004,
    }
    _report(workspace, "latency", now - timedelta(minutes=20), details, False)


def _report(
    workspace: Workspace, kind: str, time: datetime, details: dict[str, Any], is_alert: bool
) -> None:
    summary = {
        "accuracy": f"accuracy {details.get('accuracy', 0):.3f}; baseline 0.905, limit 0.875",
        "drift": "labels drifted: more transfer" if is_alert else "nothing drifted",
        "latency": "p99 latency 11.8 ms over 1,204 predictions; limit 50 ms",
    }[kind]
    verdict = ReportVerdict.ALERT if is_alert else ReportVerdict.OK
    name = f"{kind}-{time:%m%d%H%M}".ljust(32, "0")
    report = Report(name, TASK, kind, CHAMPION, verdict, summary, details, "", time)
    if is_alert:
        advice = "Look at the texts behind the signal, and label some of them."
        raise_alert = workspace.storage.alerts.raise_alert
        raise_alert(report, Severity.CRITICAL, advice, [], timedelta(hours=1))
    else:
        workspace.storage.reports.add(report)


def _people(workspace: Workspace, now: datetime, ids: list[str], script: str) -> None:
    storage = workspace.storage
    storage.feedback.add(
        [
            Feedback(
                f"{number:032d}",
                ids[number],
                TASK,
                CHAMPION,
                number % 3 > 0,
                None,
                "app",
                script if number == 0 else "",
                "",
                now - timedelta(minutes=number),
            )
            for number in range(30)
        ]
    )
    detail = "4 of 5 verdicts of this source contradict people's labels"
    hold = (TASK, "ap\u202ep", "card", HoldReason.REPUTATION, detail, now)
    storage.feedback_holds.add([FeedbackHold("0" * 32, *hold)])
    reasons = (LabelReason.AUDIT, LabelReason.UNCERTAIN, LabelReason.DISAGREEMENT)
    storage.label_items.add(
        [
            LabelRequest(
                TASK,
                f"{TEXTS[number % len(TEXTS)]} ({number})" if number else f"{script} my card",
                reasons[number % 3],
                now,
                ("card", "billing") if number % 3 else (),
            )
            for number in range(24)
        ],
        1,
        now,
    )
    for number in range(3):
        storage.preferences.add(
            Preference(
                f"{number:032d}",
                PAIRS,
                f"How do I block my card? ({number})",
                "Open the app, choose the card, and press Block.",
                f"You should have thought of that before. {script}",
                "ann",
                "",
                "",
                now,
            )
        )
