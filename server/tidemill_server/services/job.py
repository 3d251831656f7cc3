"""JobService."""

from collections.abc import AsyncIterator

from tidemill.v1 import job_service_pb2 as pb
from tidemill_server import convert, convert_runs
from tidemill_server.handlers.job import JobHandler


class JobServicer:
    """Starts and follows batch jobs."""

    def __init__(self, handler: JobHandler) -> None:
        self._handler = handler

    async def ListJobs(self, request: pb.ListJobsRequest, _: object) -> pb.ListJobsResponse:
        """List the jobs that can be run."""
        found, token = await self._handler.list_jobs(convert.page(request))
        return pb.ListJobsResponse(
            jobs=[convert.message(pb.Job, each) for each in found], next_page_token=token
        )

    async def RunJob(self, request: pb.RunJobRequest, _: object) -> pb.RunJobResponse:
        """Queue a run."""
        parameters = convert_runs.job_parameters(request)
        run = await self._handler.run(request.job, request.task, request.request_id, parameters)
        return pb.RunJobResponse(job_run=convert_runs.job_run(run))

    async def GetJobRun(self, request: pb.GetJobRunRequest, _: object) -> pb.GetJobRunResponse:
        """Return one run."""
        run = await self._handler.get_run(request.run_id)
        return pb.GetJobRunResponse(job_run=convert_runs.job_run(run))

    async def ListJobRuns(
        self, request: pb.ListJobRunsRequest, _: object
    ) -> pb.ListJobRunsResponse:
        """List runs, newest first."""
        found, token = await self._handler.list_runs(
            request.job, request.task, convert.page(request)
        )
        return pb.ListJobRunsResponse(
            job_runs=map(convert_runs.job_run, found), next_page_token=token
        )

    async def WatchJobRun(
        self, request: pb.WatchJobRunRequest, _: object
    ) -> AsyncIterator[pb.WatchJobRunResponse]:
        """Send the run immediately and after each change, until it ends."""
        async for run in self._handler.watch_run(request.run_id):
            yield pb.WatchJobRunResponse(job_run=convert_runs.job_run(run))

    async def CancelJobRun(
        self, request: pb.CancelJobRunRequest, _: object
    ) -> pb.CancelJobRunResponse:
        """Ask a run to stop."""
        run, was_active = await self._handler.cancel_run(request.run_id)
        return pb.CancelJobRunResponse(job_run=convert_runs.job_run(run), was_active=was_active)
