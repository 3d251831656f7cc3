"""Batch jobs: start and follow runs. The server reaches the jobs process through the database."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tidemill_core.clock import Clock
from tidemill_core.domain.job import EVALUATE, IMPORT_MODEL, SCORE, Job, JobRun, Trigger
from tidemill_core.domain.job_parameters import (
    EvaluateParameters,
    JobParameters,
    ReproduceModelParameters,
    RetrainParameters,
    ScoreParameters,
)
from tidemill_core.errors import InvalidArgument
from tidemill_core.storage.database import Page, page_token
from tidemill_core.storage.jobs import JobStore, RunRequest
from tidemill_server.handlers.fields import MAX_KEY_LENGTH, check_visible, check_words
from tidemill_server.handlers.threads import in_thread
from tidemill_server.inference.router import Router

WATCH_SECONDS = 0.25
MAX_NETWORK_LENGTH = 40
MAX_TRIALS = 10_000
MAX_BUDGET_SECONDS = 7 * 24 * 3600
MAX_PLACE_LENGTH = 2000
_PASSWORD = re.compile(r"://[^/\s@]*:[^/\s@]*@")


@dataclass(frozen=True)
class JobHandler:
    """Starts and follows batch jobs."""

    store: JobStore
    router: Router
    clock: Clock

    @in_thread
    def list_jobs(self, page: Page) -> tuple[list[Job], str]:
        """Return a page of the jobs that can be run, and the next page's token."""
        return _page_of(self.store.catalog(), page)

    @in_thread
    def run(
        self, job: str, task: str, request_id: str, parameters: JobParameters | None = None
    ) -> JobRun:
        """Queue a run; without parameters, it does what the task's settings say.

        Raises:
            InvalidArgument: names the field and the rule.
        """
        self.router.task_settings(task)
        check_words("request_id", request_id, MAX_KEY_LENGTH)
        known = {each.job for each in self.store.catalog()}
        if job not in known:
            rule = f"there is no job {job[:100]!r}; there are: {', '.join(sorted(known))}"
            raise InvalidArgument("UNKNOWN_JOB", "job", rule)
        if job == IMPORT_MODEL:
            rule = "is started by ImportModelVersion, which sends its files: tidemill models import"
            raise InvalidArgument("JOB_NEEDS_FILES", "job", rule)
        if parameters is None and job in (SCORE, EVALUATE):
            rule = f"is missing: name the rows to read; `tidemill {job} --help` shows how"
            raise InvalidArgument("MISSING_INPUT", f"{job}.input", rule)
        _check_parameters(parameters)
        run = RunRequest(job, task, Trigger.RPC, request_id=request_id, parameters=parameters)
        return self.store.enqueue(run, self.clock())

    @in_thread
    def get_run(self, run_id: str) -> JobRun:
        """Return one run, or raise NotFound."""
        return self.store.get(run_id)

    @in_thread
    def list_runs(self, job: str, task: str, page: Page) -> tuple[list[JobRun], str]:
        """Return a page of runs, newest first, and the next page's token."""
        return self.store.page(job, task, page)

    async def watch_run(self, run_id: str) -> AsyncIterator[JobRun]:
        """Yield the run immediately and after each change, until it ends."""
        seen = None
        while seen is None or not seen.state.ended:
            run = await self.get_run(run_id)
            if run != seen:
                yield run
                seen = run
            if not run.state.ended:
                await asyncio.sleep(WATCH_SECONDS)

    @in_thread
    def cancel_run(self, run_id: str) -> JobRun:
        """Ask a run to stop, or raise NotFound."""
        return self.store.cancel(run_id, self.clock())


def _check_parameters(parameters: JobParameters | None) -> None:
    if isinstance(parameters, RetrainParameters):
        check_words("retrain.network", parameters.network or "", MAX_NETWORK_LENGTH)
        _check_range("retrain.trials", parameters.trials, MAX_TRIALS)
        _check_range("retrain.budget_seconds", parameters.budget_seconds, MAX_BUDGET_SECONDS)
    if isinstance(parameters, ReproduceModelParameters):
        _check_version("reproduce_model.model_version", parameters.model_version)
    if isinstance(parameters, ScoreParameters):
        _check_place("score.input", parameters.input)
        _check_place("score.output", parameters.output)
        check_words("score.text_column", parameters.text_column, MAX_KEY_LENGTH)
        _check_version("score.model_version", parameters.model_version)
    if isinstance(parameters, EvaluateParameters):
        _check_place("evaluate.input", parameters.input)
        check_words("evaluate.text_column", parameters.text_column, MAX_KEY_LENGTH)
        check_words("evaluate.label_column", parameters.label_column, MAX_KEY_LENGTH)
        _check_version("evaluate.model_version", parameters.model_version)
        _check_version("evaluate.against", parameters.against)


def _check_version(field: str, version: int) -> None:
    if version < 0:
        rule = f"{version} is not a version: versions start at 1"
        raise InvalidArgument("UNKNOWN_VERSION", field, rule)


def _check_place(field: str, place: str) -> None:
    """Check a path or URL of rows. Runs are stored and shown, so it must not have a password."""
    check_visible(field, place, MAX_PLACE_LENGTH)
    if _PASSWORD.search(place):
        rule = "has a password: set the URL in an environment variable of the jobs, env:VARIABLE"
        raise InvalidArgument("PASSWORD_IN_URL", field, rule)


def _check_range(field: str, value: int | None, highest: int) -> None:
    if value is not None and not 1 <= value <= highest:
        rule = f"{value} is not from 1 to {highest:,}"
        raise InvalidArgument("VALUE_OUT_OF_RANGE", field, rule)


def _page_of(jobs: list[Job], page: Page) -> tuple[list[Job], str]:
    """Return a page of the catalog, numbered from its end, and the next page's token."""
    left = len(jobs) if page.before is None else min(page.before, len(jobs))
    start = len(jobs) - left
    token = page_token(left - page.size) if left > page.size else ""
    return jobs[start : start + page.size], token
