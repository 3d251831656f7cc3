"""The client for asyncio: that of `client`, with calls that are awaited."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import Self

from tidemill.v1.prediction_service_pb2 import StreamPredictRequest
from tidemill_client.errors import TidemillError, translated_errors
from tidemill_client.many import Progress
from tidemill_client.many_async import ask_all_async
from tidemill_client.requests import (
    batch_request,
    feedback_request,
    predict_request,
)
from tidemill_client.results import (
    Feedback,
    Prediction,
    batch_results,
    feedback_of,
    prediction_of,
    result_of,
)
from tidemill_client.stream_requests import StreamErrors, sendable, sendable_async
from tidemill_client.stubs import AsyncStubs
from tidemill_client.window import Question, Window


class AsyncTidemillClient(AsyncStubs):
    """A connection to one Tidemill server, for the event loop of its first call.

    Methods, arguments, results, errors and retries are those of `TidemillClient`.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection, and cancel open calls."""
        await self._close()

    async def predict(
        self,
        task: str,
        text: str,
        *,
        top_k: int = 1,
        model_version: int = 0,
        request_id: str = "",
        routing_key: str = "",
        attributes: Mapping[str, str] | None = None,
        response: str = "",
        timeout: float | None = None,
    ) -> Prediction:
        """See `TidemillClient.predict`."""
        request = predict_request(
            task, text, top_k, model_version, request_id, routing_key, attributes, response
        )
        with translated_errors(request_id):
            answer = await self.predictions.Predict(request, timeout=self._seconds(timeout))
        return prediction_of(answer.prediction)

    async def predict_batch(
        self,
        task: str,
        texts: Iterable[str],
        *,
        top_k: int = 1,
        model_version: int = 0,
        request_id: str = "",
        timeout: float | None = None,
    ) -> list[Prediction | TidemillError]:
        """See `TidemillClient.predict_batch`."""
        request, errors = batch_request(task, texts, top_k, model_version, request_id)
        with translated_errors(request_id):
            response = await self.predictions.BatchPredict(request, timeout=self._seconds(timeout))
        return batch_results(response.results, errors, request_id)

    def predict_many(
        self,
        texts: Iterable[str] | AsyncIterable[str],
        *,
        task: str,
        window: int = 256,
        top_k: int = 1,
        model_version: int = 0,
        routing_key: str = "",
        attributes: Mapping[str, str] | None = None,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> AsyncIterator[Prediction | TidemillError]:
        """See `TidemillClient.predict_many`.

        A plain iterable blocks the event loop while it is read, so one that waits should be
        asynchronous. Read all results, or use `contextlib.aclosing` to leave the loop early.
        """
        question = Question(task, top_k, model_version, routing_key, attributes)
        bounded = Window(question, window)
        return ask_all_async(
            self.predictions.StreamPredict, texts, bounded, self._seconds(timeout), progress
        )

    async def predict_stream(
        self, requests: Iterable[StreamPredictRequest] | AsyncIterable[StreamPredictRequest]
    ) -> AsyncIterator[tuple[str, Prediction | TidemillError]]:
        """See `TidemillClient.predict_stream`."""
        errors = StreamErrors()
        number = 0
        with translated_errors():
            stream = self.predictions.StreamPredict(
                sendable_async(requests, errors)
                if isinstance(requests, AsyncIterable)
                else sendable(requests, errors)
            )
            try:
                async for response in stream:
                    yield (
                        response.id,
                        errors.of_items.get(number) or result_of(response, response.id),
                    )
                    number += 1
                errors.raise_end()
            finally:  # the caller may stop before the end
                stream.cancel()

    async def submit_feedback(
        self,
        prediction_id: str,
        *,
        correct: bool | None = None,
        label: str | None = None,
        source: str = "",
        comment: str = "",
        text: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> Feedback:
        """See `TidemillClient.submit_feedback`."""
        request = feedback_request(
            prediction_id,
            correct=correct,
            label=label,
            source=source,
            comment=comment,
            text=text,
            request_id=request_id,
        )
        with translated_errors(request_id):
            response = await self.feedback.SubmitFeedback(request, timeout=self._seconds(timeout))
        return feedback_of(response.feedback)
