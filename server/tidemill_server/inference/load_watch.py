"""Metrics of each task's load."""

import asyncio
from collections.abc import Mapping

from tidemill_server.inference.admission import TaskAdmission
from tidemill_server.inference.coalescer import Coalescer
from tidemill_server.telemetry.metrics import Metrics

_SECONDS = 1.0


async def watch_load(
    admissions: Mapping[str, TaskAdmission], coalescer: Coalescer, metrics: Metrics
) -> None:
    """Set the gauges every second, forever, so that requests do not pay for it."""
    while True:
        for task, admission in admissions.items():
            queued, calls = coalescer.load(task)
            observed = metrics.task(task)
            observed.admission_limit.set(admission.unary.limit + admission.patient.limit)
            observed.admitted_rows.set(admission.unary.rows + admission.patient.rows)
            observed.queued_rows.set(queued + admission.patient.waiting_rows)
            observed.triton_calls_in_flight.set(calls)
        await asyncio.sleep(_SECONDS)
