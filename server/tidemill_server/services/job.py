"""JobService. The database is where the server and the jobs process meet."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from tidemill.v1 import job_service_pb2 as pb
from tidemill.v1 import job_service_pb2_grpc
from tidemill_core.clock import Clock
from tidemill_core.domain.job import Job, Trigger
from tidemill_core.errors import InvalidArgument
from tidemill_core.storage.database import Page, page_token
from tidemill_core.storage.jobs import JobStore, RunRequest
from tidemill_server import convert
from tidemill_server.inference.query import MAX_KEY_LENGTH, check_words
from tidemill_server.inference.router import Router

WATCH_SECONDS = 0.25

Context = Any


class JobServicer(job_service_pb2_grpc.JobServiceServicer):
    """Starts and follows the batch jobs."""

    def __init__(self, store: JobStore, router: Router, clock: Clock) -> None:
        self._store = store
        self._router = router
        self._clock = clock

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        """List the jobs that can be run."""
        del context
        page = Page.parse(request.page_size, request.page_token)
        found, token = _page_of(await asyncio.to_thread(self._store.catalogue), page)
        return pb.ListJobsResponse(jobs=map(convert.job, found), next_page_token=token)

    async def RunJob(self, request: pb.RunJobRequest, context: Context) -> pb.RunJobResponse:
        """Queue a run."""
        del context
        self._router.task_settings(request.task)
        check_words("request_id", request.request_id, MAX_KEY_LENGTH)
        known = {job.job for job in await asyncio.to_thread(self._store.catalogue)}
        if request.job not in known:
            rule = f"there is no job {request.job[:100]!r}; there are: {', '.join(sorted(known))}"
            raise InvalidArgument("UNKNOWN_JOB", "job", rule)
        wish = RunRequest(request.job, request.task, Trigger.RPC, request_id=request.request_id)
        run = await asyncio.to_thread(self._store.enqueue, wish, self._clock())
        return pb.RunJobResponse(job_run=convert.job_run(run))

    async def GetJobRun(
        self, request: pb.GetJobRunRequest, context: Context
    ) -> pb.GetJobRunResponse:
        """Return one run."""
        del context
        found = await asyncio.to_thread(self._store.get, request.run_id)
        return pb.GetJobRunResponse(job_run=convert.job_run(found))

    async def ListJobRuns(
        self, request: pb.ListJobRunsRequest, context: Context
    ) -> pb.ListJobRunsResponse:
        """List runs, newest first."""
        del context
        page = Page.parse(request.page_size, request.page_token)
        found, token = await asyncio.to_thread(self._store.page, request.job, request.task, page)
        return pb.ListJobRunsResponse(job_runs=map(convert.job_run, found), next_page_token=token)

    async def WatchJobRun(
        self, request: pb.WatchJobRunRequest, context: Context
    ) -> AsyncIterator[pb.WatchJobRunResponse]:
        """Send the run at once, again at each change, until it has ended."""
        del context
        sent = None
        while sent is None or not sent.state.ended:
            run = await asyncio.to_thread(self._store.get, request.run_id)
            if run != sent:
                yield pb.WatchJobRunResponse(job_run=convert.job_run(run))
                sent = run
            if not run.state.ended:
                await asyncio.sleep(WATCH_SECONDS)

    async def CancelJobRun(
        self, request: pb.CancelJobRunRequest, context: Context
    ) -> pb.CancelJobRunResponse:
        """Ask a run to stop."""
        del context
        run = await asyncio.to_thread(self._store.cancel, request.run_id, self._clock())
        return pb.CancelJobRunResponse(job_run=convert.job_run(run))


def _page_of(jobs: Sequence[Job], page: Page) -> tuple[Sequence[Job], str]:
    """A page of the catalogue, numbered from its end, and the next page's token."""
    left = len(jobs) if page.before is None else min(page.before, len(jobs))
    start = len(jobs) - left
    token = page_token(left - page.size) if left > page.size else ""
    return jobs[start : start + page.size], token
