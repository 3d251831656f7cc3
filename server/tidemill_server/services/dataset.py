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
