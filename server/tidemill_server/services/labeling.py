"""LabelingService."""

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar

from tidemill.v1 import labeling_service_pb2 as pb
from tidemill.v1 import labeling_service_pb2_grpc
from tidemill_core.domain.labeling import LabelItemState, LabelReason
from tidemill_core.errors import InvalidArgument
from tidemill_core.storage.database import Page
from tidemill_core.storage.datasets import DatasetStore
from tidemill_core.storage.label_items import LabelItemStore
from tidemill_server import convert
from tidemill_server.label_intake import MAX_ITEMS, LabelIntake

Context = Any
Known = TypeVar("Known", LabelItemState, LabelReason)

_STATES: Mapping[int, LabelItemState] = {
    pb.LabelItemState.Value(f"LABEL_ITEM_STATE_{state}"): state for state in LabelItemState
}
_REASONS: Mapping[int, LabelReason] = {
    pb.LabelReason.Value(f"LABEL_REASON_{reason}"): reason for reason in LabelReason
}


class LabelingServicer(labeling_service_pb2_grpc.LabelingServiceServicer):
    """Hands texts out to people and takes their labels."""

    def __init__(self, intake: LabelIntake, store: LabelItemStore, datasets: DatasetStore) -> None:
        self._intake = intake
        self._store = store
        self._datasets = datasets

    async def LeaseLabelItems(
        self, request: pb.LeaseLabelItemsRequest, context: Context
    ) -> pb.LeaseLabelItemsResponse:
        """Hand items out to an annotator."""
        del context
        wish = self._intake.lease(
            request.task, request.annotator, request.max_items, request.request_id
        )
        items, waiting = await asyncio.to_thread(self._store.lease, wish, self._intake.clock())
        newest, _ = await asyncio.to_thread(self._datasets.page, request.task, Page(size=1))
        return pb.LeaseLabelItemsResponse(
            label_items=[convert.label_item(item, with_judgements=False) for item in items],
            waiting_count=waiting,
            labels=sorted({label for version in newest for label in version.label_counts}),
        )

    async def SubmitLabel(
        self, request: pb.SubmitLabelRequest, context: Context
    ) -> pb.SubmitLabelResponse:
        """Store what an annotator says of an item."""
        del context
        judgement = self._intake.judgement(
            request.task,
            request.label_item_id,
            request.annotator,
            request.label,
            request.request_id,
        )
        stored, item = await asyncio.to_thread(self._store.submit, request.task, judgement)
        return pb.SubmitLabelResponse(
            judgement=convert.label_judgement(stored),
            label_item=convert.label_item(item, with_judgements=False),
        )

    async def ListLabelItems(
        self, request: pb.ListLabelItemsRequest, context: Context
    ) -> pb.ListLabelItemsResponse:
        """List items with their judgements, newest first."""
        del context
        page = Page.parse(min(request.page_size or MAX_ITEMS, MAX_ITEMS), request.page_token)
        found, token = await asyncio.to_thread(
            self._store.page,
            request.task,
            [_known("states", _STATES, number) for number in request.states],
            _known("reason", _REASONS, request.reason) if request.reason else None,
            page,
            self._intake.clock(),
        )
        return pb.ListLabelItemsResponse(
            label_items=[convert.label_item(item, with_judgements=True) for item in found],
            next_page_token=token,
        )


def _known(field: str, known: Mapping[int, Known], number: int) -> Known:
    """What a number of an enum means.

    Raises:
        InvalidArgument: it is none of the contract's, or not set.
    """
    if number not in known:
        raise InvalidArgument("UNKNOWN_VALUE", field, f"{number} is no value of its enum")
    return known[number]
