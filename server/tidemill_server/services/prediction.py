"""PredictionService."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from tidemill.v1 import prediction_service_pb2 as pb
from tidemill_server import convert, wire
from tidemill_server.handlers.prediction import PredictionHandler
from tidemill_server.inference.query import STREAM_METHOD, UNARY_METHOD
from tidemill_server.rpc.call import Call
from tidemill_server.services.deadline import deadline_of, item_deadline_of
from tidemill_server.services.pipeline import StreamWindows, pipelined


class PredictionServicer:
    """Predicts labels of texts."""

    def __init__(self, handler: PredictionHandler, windows: StreamWindows) -> None:
        self._handler = handler
        self._windows = windows

    async def GetPrediction(
        self, request: pb.GetPredictionRequest, _: object
    ) -> pb.GetPredictionResponse:
        """Return a stored prediction."""
        return convert.stored_prediction(await self._handler.get(request.prediction_id))

    async def Predict(self, request: pb.PredictRequest, call: Call) -> bytes:
        """Predict one text; the response is encoded."""
        query = convert.query(request, UNARY_METHOD, request.request_id, deadline_of(call), _now())
        answer = await self._handler.predict(query, request.text, request.response)
        return wire.predict_response(answer)

    async def BatchPredict(self, request: pb.BatchPredictRequest, call: Call) -> bytes:
        """Predict up to 1,024 texts; the response is encoded."""
        query = convert.batch_query(request, deadline_of(call), _now())
        return wire.batch_response(await self._handler.predict_batch(query, request.texts))

    def StreamPredict(
        self, request_iterator: AsyncIterator[pb.StreamPredictRequest], call: Call
    ) -> AsyncIterator[bytes]:
        """Predict texts until the caller stops sending; responses keep the requests' order."""
        return pipelined(request_iterator, partial(self._answer, call), self._windows)

    async def _answer(self, call: Call, request: pb.StreamPredictRequest) -> bytes | Exception:
        query = convert.query(request, STREAM_METHOD, request.id, item_deadline_of(call), _now())
        answer = await self._handler.predict_item(query, request.text, request.response)
        return wire.stream_response(request.id, answer)


def _now() -> float:
    return asyncio.get_running_loop().time()
