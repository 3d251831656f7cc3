"""LabelingService."""

from tidemill.v1 import labeling_service_pb2 as pb
from tidemill_server import convert
from tidemill_server.handlers.labeling import LabelingHandler


class LabelingServicer:
    """Leases items to annotators and stores their labels."""

    def __init__(self, handler: LabelingHandler) -> None:
        self._handler = handler

    async def LeaseLabelItems(
        self, request: pb.LeaseLabelItemsRequest, _: object
    ) -> pb.LeaseLabelItemsResponse:
        """Lease items to an annotator."""
        lease = await self._handler.lease(
            request.task, request.annotator, request.max_items, request.request_id
        )
        return pb.LeaseLabelItemsResponse(
            label_items=[convert.label_item(item, with_judgements=False) for item in lease.items],
            waiting_count=lease.waiting_count,
            labels=lease.labels,
        )

    async def SubmitLabel(
        self, request: pb.SubmitLabelRequest, _: object
    ) -> pb.SubmitLabelResponse:
        """Store an annotator's label of an item."""
        stored, item = await self._handler.submit(
            request.task,
            request.label_item_id,
            request.annotator,
            request.label,
            request.request_id,
            request.known_only,
        )
        return pb.SubmitLabelResponse(
            judgement=convert.message(pb.LabelJudgement, stored),
            label_item=convert.label_item(item, with_judgements=False),
        )

    async def ListLabelItems(
        self, request: pb.ListLabelItemsRequest, _: object
    ) -> pb.ListLabelItemsResponse:
        """List items with their judgements, newest first."""
        found, token = await self._handler.list_items(
            request.task,
            convert.label_item_states(request.states),
            convert.label_reason(request.reason),
            convert.page(request),
        )
        return pb.ListLabelItemsResponse(
            label_items=[convert.label_item(item, with_judgements=True) for item in found],
            next_page_token=token,
        )
