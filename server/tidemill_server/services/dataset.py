"""DatasetService."""

import asyncio
from typing import Any

from tidemill.v1 import dataset_service_pb2 as pb
from tidemill.v1 import dataset_service_pb2_grpc
from tidemill_core.domain.dataset import label_changes
from tidemill_core.storage.database import Page
from tidemill_core.storage.datasets import DatasetStore
from tidemill_server import convert

Context = Any


class DatasetServicer(dataset_service_pb2_grpc.DatasetServiceServicer):
    """Tells what models were trained on."""

    def __init__(self, store: DatasetStore) -> None:
        self._store = store

    async def ListDatasetVersions(
        self, request: pb.ListDatasetVersionsRequest, context: Context
    ) -> pb.ListDatasetVersionsResponse:
        """List dataset versions, newest first."""
        del context
        page = Page.parse(request.page_size, request.page_token)
        found, token = await asyncio.to_thread(self._store.page, request.task, page)
        return pb.ListDatasetVersionsResponse(
            dataset_versions=map(convert.dataset_version, found), next_page_token=token
        )

    async def GetDatasetVersion(
        self, request: pb.GetDatasetVersionRequest, context: Context
    ) -> pb.GetDatasetVersionResponse:
        """Return one dataset version."""
        del context
        found = await asyncio.to_thread(self._store.get, request.dataset_version)
        return pb.GetDatasetVersionResponse(dataset_version=convert.dataset_version(found))

    async def DiffDatasetVersions(
        self, request: pb.DiffDatasetVersionsRequest, context: Context
    ) -> pb.DiffDatasetVersionsResponse:
        """Compare two dataset versions by their counts."""
        del context
        base = await asyncio.to_thread(self._store.get, request.base_dataset_version)
        other = await asyncio.to_thread(self._store.get, request.dataset_version)
        changes = label_changes(base.label_counts, other.label_counts)
        return pb.DiffDatasetVersionsResponse(
            base_row_count=sum(base.row_counts.values()),
            row_count=sum(other.row_counts.values()),
            label_changes=map(convert.label_count_change, changes),
        )
