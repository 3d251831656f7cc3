"""FeedbackService."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from tidemill.v1 import feedback_service_pb2 as pb
from tidemill.v1 import feedback_service_pb2_grpc
from tidemill_core.domain.feedback import Feedback
from tidemill_core.domain.preference import Preference
from tidemill_core.errors import InvalidArgument, TidemillError
from tidemill_core.storage.database import Page
from tidemill_core.storage.feedback import FeedbackStore
from tidemill_core.storage.preferences import PreferenceStore
from tidemill_server import convert
from tidemill_server.feedback_intake import FeedbackIntake, Verdict
from tidemill_server.preference_intake import Judgement, PreferenceIntake
from tidemill_server.status import to_status

CHUNK = 500
"""Verdicts of a stream that are stored in one transaction."""
MAX_LISTED_REJECTIONS = 1000
MAX_PREFERENCES_A_PAGE = 100
"""So many of the largest fit into one message."""

Context = Any


class FeedbackServicer(feedback_service_pb2_grpc.FeedbackServiceServicer):
    """Takes users' verdicts on predictions, and which of two answers they prefer."""

    def __init__(
        self,
        intake: FeedbackIntake,
        store: FeedbackStore,
        preference_intake: PreferenceIntake,
        preferences: PreferenceStore,
    ) -> None:
        self._intake = intake
        self._store = store
        self._preference_intake = preference_intake
        self._preferences = preferences

    async def SubmitFeedback(
        self, request: pb.SubmitFeedbackRequest, context: Context
    ) -> pb.SubmitFeedbackResponse:
        """Store one verdict."""
        del context
        checked = self._intake.check(_verdict(request))
        [stored] = await asyncio.to_thread(self._store.add, [checked])
        _check_answer(checked, stored)
        return pb.SubmitFeedbackResponse(feedback=convert.feedback(stored))

    async def StreamFeedback(
        self, request_iterator: AsyncIterator[pb.StreamFeedbackRequest], context: Context
    ) -> pb.StreamFeedbackResponse:
        """Store many verdicts; those that are wrong are listed, the others are stored."""
        del context
        response = pb.StreamFeedbackResponse()
        async for chunk in self._chunks(request_iterator, response):
            stored = await asyncio.to_thread(self._store.add, list(chunk.values()))
            for (index, checked), answer in zip(chunk.items(), stored, strict=True):
                try:
                    _check_answer(checked, answer)
                except InvalidArgument as error:
                    _reject(response, index, error)
                else:
                    response.accepted_count += 1
        response.rejections.sort(key=lambda rejection: rejection.index)
        return response

    async def _chunks(
        self, requests: AsyncIterator[pb.StreamFeedbackRequest], response: pb.StreamFeedbackResponse
    ) -> AsyncIterator[dict[int, Feedback]]:
        """What is right, by its index, in chunks; what is wrong is listed in the response.

        Before a malformed message ends the stream, what was gathered comes out.
        """
        chunk: dict[int, Feedback] = {}
        index = 0
        try:
            async for request in requests:
                try:
                    chunk[index] = self._intake.check(_verdict(request))
                except TidemillError as error:
                    _reject(response, index, error)
                index += 1
                if len(chunk) == CHUNK:
                    yield chunk
                    chunk = {}
        except InvalidArgument:
            if chunk:
                yield chunk
            raise
        if chunk:
            yield chunk

    async def ListFeedback(
        self, request: pb.ListFeedbackRequest, context: Context
    ) -> pb.ListFeedbackResponse:
        """List feedback, newest first."""
        del context
        page = Page.parse(request.page_size, request.page_token)
        found, token = await asyncio.to_thread(
            self._store.page, request.task, request.prediction_id, page
        )
        return pb.ListFeedbackResponse(feedback=map(convert.feedback, found), next_page_token=token)

    async def SubmitPreference(
        self, request: pb.SubmitPreferenceRequest, context: Context
    ) -> pb.SubmitPreferenceResponse:
        """Store which of two answers is better."""
        del context
        # Hashing the longest answers takes milliseconds, which other callers need not wait for.
        stored = await asyncio.to_thread(self._store_preference, request)
        return pb.SubmitPreferenceResponse(preference=convert.preference(stored))

    def _store_preference(self, request: pb.SubmitPreferenceRequest) -> Preference:
        judgement = Judgement(
            task=request.task,
            prompt=request.prompt,
            chosen=request.chosen,
            rejected=request.rejected,
            annotator=request.annotator,
            reason=request.reason,
            request_id=request.request_id,
        )
        return self._preferences.add(self._preference_intake.check(judgement))

    async def ListPreferences(
        self, request: pb.ListPreferencesRequest, context: Context
    ) -> pb.ListPreferencesResponse:
        """List judgements of preference pairs, newest first."""
        del context
        size = min(request.page_size, MAX_PREFERENCES_A_PAGE)
        page = Page.parse(size, request.page_token)
        found, token = await asyncio.to_thread(self._preferences.page, request.task, page)
        return pb.ListPreferencesResponse(
            preferences=map(convert.preference, found), next_page_token=token
        )


def _check_answer(checked: Feedback, stored: Feedback) -> None:
    """Refuse a verdict whose request id brought up what was said of another prediction.

    Raises:
        InvalidArgument: REQUEST_ID_REUSED; the verdict was not stored.
    """
    if (stored.prediction_id, stored.source) != (checked.prediction_id, checked.source):
        rule = "was used for another verdict: give each prediction and source one of their own"
        raise InvalidArgument("REQUEST_ID_REUSED", "request_id", rule)


def _reject(response: pb.StreamFeedbackResponse, index: int, error: TidemillError) -> None:
    response.rejected_count += 1
    if len(response.rejections) < MAX_LISTED_REJECTIONS:
        response.rejections.add(index=index, error=to_status(error))


def _verdict(request: pb.SubmitFeedbackRequest | pb.StreamFeedbackRequest) -> Verdict:
    kind = request.WhichOneof("verdict")
    return Verdict(
        prediction_id=request.prediction_id,
        correct=request.correct if kind == "correct" else None,
        label=request.label if kind == "label" else None,
        source=request.source,
        comment=request.comment,
        request_id=request.request_id,
        text=request.text,
    )
