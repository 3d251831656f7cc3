"""PredictionService."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

from tidemill.v1 import prediction_service_pb2 as pb
from tidemill.v1 import prediction_service_pb2_grpc
from tidemill_core.errors import NotFound, TidemillError
from tidemill_core.prediction_id import PredictionIdSigner
from tidemill_core.storage.predictions import PredictionStore
from tidemill_server import convert
from tidemill_server.inference.predictor import Predictor
from tidemill_server.inference.query import (
    MAX_KEY_LENGTH,
    UNARY_METHOD,
    Query,
    check_words,
)
from tidemill_server.services.deadline import DEFAULT_SECONDS, deadline_of
from tidemill_server.services.pipeline import pipelined
from tidemill_server.services.stream_windows import StreamWindows
from tidemill_server.status import to_status

PREDICTION_METHODS = (UNARY_METHOD, "BatchPredict", "StreamPredict")
"""As predictions are written down."""

Context = Any


class PredictionServicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers which label a text has."""

    def __init__(
        self,
        predictor: Predictor,
        store: PredictionStore,
        signer: PredictionIdSigner,
        windows: StreamWindows,
    ) -> None:
        self._predictor = predictor
        self._windows = windows
        self._store = store
        self._signer = signer

    async def GetPrediction(
        self, request: pb.GetPredictionRequest, context: Context
    ) -> pb.GetPredictionResponse:
        """Return a prediction that was made before."""
        del context
        self._signer.verify(request.prediction_id)
        found = await asyncio.to_thread(self._store.get, request.prediction_id)
        if found is None:
            raise NotFound("prediction", request.prediction_id)
        return convert.stored_prediction(found)

    async def Predict(self, request: pb.PredictRequest, context: Context) -> pb.PredictResponse:
        """Predict one text."""
        query = Query(
            request.task,
            UNARY_METHOD,
            deadline=deadline_of(context),
            arrival=asyncio.get_running_loop().time(),
            top_k=request.top_k,
            model_version=request.model_version,
            request_id=request.request_id,
            routing_key=request.routing_key,
            attributes=dict(request.attributes),
        )
        answer = await self._predictor.predict(query, request.text)
        return pb.PredictResponse(prediction=convert.prediction(answer))

    async def BatchPredict(
        self, request: pb.BatchPredictRequest, context: Context
    ) -> pb.BatchPredictResponse:
        """Predict up to 1,024 texts."""
        query = Query(
            request.task,
            "BatchPredict",
            deadline=deadline_of(context),
            arrival=asyncio.get_running_loop().time(),
            top_k=request.top_k,
            model_version=request.model_version,
            request_id=request.request_id,
        )
        answers = await self._predictor.predict_batch(query, request.texts)
        results = [
            pb.BatchPredictResult(error=to_status(answer))
            if isinstance(answer, TidemillError)
            else pb.BatchPredictResult(prediction=convert.prediction(answer))
            for answer in answers
        ]
        return pb.BatchPredictResponse(results=results)

    async def StreamPredict(
        self, request_iterator: AsyncIterator[pb.StreamPredictRequest], context: Context
    ) -> AsyncIterator[pb.StreamPredictResponse]:
        """Predict for as long as the caller sends texts; answers in the order of the requests."""
        with self._windows.opened() as window:
            answers = pipelined(request_iterator, partial(self._answer, context), window)
            async with aclosing(answers):
                async for answer in answers:
                    yield answer

    async def _answer(
        self, context: Context, request: pb.StreamPredictRequest
    ) -> pb.StreamPredictResponse | Exception:
        now = asyncio.get_running_loop().time()
        query = Query(
            request.task,
            "StreamPredict",
            deadline=min(deadline_of(context), now + DEFAULT_SECONDS),
            arrival=now,
            top_k=request.top_k,
            model_version=request.model_version,
            request_id=request.id,
            routing_key=request.routing_key,
            attributes=dict(request.attributes),
        )
        try:
            check_words("id", request.id, MAX_KEY_LENGTH)
            answer = await self._predictor.predict(query, request.text)
        except TidemillError as error:
            return pb.StreamPredictResponse(id=request.id, error=to_status(error))
        return pb.StreamPredictResponse(id=request.id, prediction=convert.prediction(answer))
