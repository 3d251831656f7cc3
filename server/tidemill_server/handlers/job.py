"""Batch jobs: start and follow runs. The server reaches the jobs process through the database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from tidemill_core.clock import Clock
from tidemill_core.domain.job import IMPORT_MODEL, Job, JobRun, Trigger
from tidemill_core.domain.job_parameters import JobParameters
from tidemill_core.errors import InvalidArgument
from tidemill_core.storage.database import Page, page_token
from tidemill_core.storage.jobs import JobStore, RunRequest
from tidemill_server.handlers.fields import MAX_KEY_LENGTH, check_words
from tidemill_server.handlers.job_parameters import ParameterRules
from tidemill_server.handlers.task_page import of_task
from tidemill_server.handlers.threads import in_thread
from tidemill_server.inference.router import Router

WATCH_SECONDS = 0.25


@dataclass(frozen=True)
class JobHandler:
    """Starts and follows batch jobs."""

    store: JobStore
    rules: ParameterRules
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
            FailedPrecondition: the job needs a champion, or labels, that the task does not have.
        """
        settings = self.router.task_settings(task)
        check_words("request_id", request_id, MAX_KEY_LENGTH)
        _require(job, self.store.catalog())
        if job == IMPORT_MODEL:
            rule = "is started by ImportModelVersion, which sends its files: tidemill models import"
            raise InvalidArgument("JOB_NEEDS_FILES", "job", rule)
        self.rules.check(job, parameters, task, settings)
        run = RunRequest(job, task, Trigger.RPC, request_id=request_id, parameters=parameters)
        return self.store.enqueue(run, self.clock())

    @in_thread
    def get_run(self, run_id: str) -> JobRun:
        """Return the run with an id, or with the only one that starts so; else raise NotFound."""
        return self.store.get(run_id)

    @in_thread
    def list_runs(self, job: str, task: str, page: Page) -> tuple[list[JobRun], str]:
        """Return a page of runs, newest first, and the next page's token.

        The runs of a job that was removed are still listed.

        Raises:
            InvalidArgument: there is no such job or task.
        """
        found = self.store.page(job, task, page)
        if job and not found[0] and (catalog := self.store.catalog()):
            _require(job, catalog)
        return of_task(self.router, task, found, partial(self.store.page, "", task))

    async def watch_run(self, run_id: str) -> AsyncIterator[JobRun]:
        """Yield the run immediately and after each change, until it ends."""
        seen = None
        while seen is None or not seen.state.ended:
            run = await self.get_run(run_id if seen is None else seen.run_id)
            if run != seen:
                yield run
                seen = run
            if not run.state.ended:
                await asyncio.sleep(WATCH_SECONDS)

    @in_thread
    def cancel_run(self, run_id: str) -> tuple[JobRun, bool]:
        """Ask a run to stop, and return it and whether that changed it; or raise NotFound."""
        return self.store.cancel(self.store.get(run_id).run_id, self.clock())


def _require(job: str, catalog: list[Job]) -> None:
    known = sorted(each.job for each in catalog)
    if job not in known:
        rule = f"there is no job {job[:100]!r}; there are: {', '.join(known)}"
        raise InvalidArgument("UNKNOWN_JOB", "job", rule)


def _page_of(jobs: list[Job], page: Page) -> tuple[list[Job], str]:
    """Return a page of the catalog, numbered from its end, and the next page's token."""
    left = len(jobs) if page.before is None else min(page.before, len(jobs))
    start = len(jobs) - left
    token = page_token(left - page.size) if left > page.size else ""
    return jobs[start : start + page.size], token
