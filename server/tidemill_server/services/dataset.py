"""DatasetService."""

from tidemill.v1 import dataset_service_pb2 as pb
from tidemill_server import convert
from tidemill_server.handlers.dataset import DatasetHandler


class DatasetServicer:
    """Access to dataset versions."""

    def __init__(self, handler: DatasetHandler) -> None:
        self._handler = handler

    async def ListDatasetVersions(
        self, request: pb.ListDatasetVersionsRequest, _: object
    ) -> pb.ListDatasetVersionsResponse:
        """List dataset versions, newest first."""
        found, token = await self._handler.list_versions(request.task, convert.page(request))
        return pb.ListDatasetVersionsResponse(
            dataset_versions=map(convert.dataset_version, found), next_page_token=token
        )

    async def GetDatasetVersion(
        self, request: pb.GetDatasetVersionRequest, _: object
    ) -> pb.GetDatasetVersionResponse:
        """Return one dataset version."""
        found = await self._handler.get(request.dataset_version)
        return pb.GetDatasetVersionResponse(dataset_version=convert.dataset_version(found))

    async def DiffDatasetVersions(
        self, request: pb.DiffDatasetVersionsRequest, _: object
    ) -> pb.DiffDatasetVersionsResponse:
        """Compare two dataset versions by their counts."""
        diff = await self._handler.diff(request.base_dataset_version, request.dataset_version)
        return pb.DiffDatasetVersionsResponse(
            base_row_count=diff.base_row_count,
            row_count=diff.row_count,
            label_changes=[
                convert.message(pb.LabelCountChange, each) for each in diff.label_changes
            ],
        )

    async def ListExcludedRows(
        self, request: pb.ListExcludedRowsRequest, _: object
    ) -> pb.ListExcludedRowsResponse:
        """List the rows that are not in a dataset version, and why."""
        found, token = await self._handler.excluded(
            request.dataset_version, request.rule, convert.page(request)
        )
        rows = [convert.message(pb.ExcludedRow, each) for each in found]
        return pb.ListExcludedRowsResponse(excluded_rows=rows, next_page_token=token)

    async def FindExamples(
        self, request: pb.FindExamplesRequest, _: object
    ) -> pb.FindExamplesResponse:
        """Find the rows of a dataset version that have a text."""
        found = await self._handler.examples(request.dataset_version, request.text)
        return pb.FindExamplesResponse(
            examples=[convert.message(pb.Example, each) for each in found]
        )
