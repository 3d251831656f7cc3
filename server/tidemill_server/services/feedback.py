"""FeedbackService."""

from collections.abc import AsyncIterator

from tidemill.v1 import feedback_service_pb2 as pb
from tidemill_server import convert
from tidemill_server.handlers.feedback import FeedbackHandler, NewPreference


class FeedbackServicer:
    """Feedback on predictions, and preferences between two answers."""

    def __init__(self, handler: FeedbackHandler) -> None:
        self._handler = handler

    async def SubmitFeedback(
        self, request: pb.SubmitFeedbackRequest, _: object
    ) -> pb.SubmitFeedbackResponse:
        """Store feedback on one prediction."""
        stored = await self._handler.submit(convert.new_feedback(request))
        return pb.SubmitFeedbackResponse(feedback=convert.message(pb.Feedback, stored))

    async def StreamFeedback(
        self, request_iterator: AsyncIterator[pb.StreamFeedbackRequest], _: object
    ) -> pb.StreamFeedbackResponse:
        """Store the valid feedback of a stream, and list the rejected feedback."""
        new = (convert.new_feedback(request) async for request in request_iterator)
        return convert.feedback_outcome(await self._handler.submit_many(new))

    async def ListFeedback(
        self, request: pb.ListFeedbackRequest, _: object
    ) -> pb.ListFeedbackResponse:
        """List feedback, newest first."""
        found, token = await self._handler.list_feedback(
            request.task, request.prediction_id, convert.page(request)
        )
        return pb.ListFeedbackResponse(
            feedback=[convert.message(pb.Feedback, each) for each in found], next_page_token=token
        )

    async def SubmitPreference(
        self, request: pb.SubmitPreferenceRequest, _: object
    ) -> pb.SubmitPreferenceResponse:
        """Store which of two answers is better."""
        stored = await self._handler.submit_preference(convert.value_of(NewPreference, request))
        return pb.SubmitPreferenceResponse(preference=convert.message(pb.Preference, stored))

    async def ListPreferences(
        self, request: pb.ListPreferencesRequest, _: object
    ) -> pb.ListPreferencesResponse:
        """List preference pairs, newest first."""
        found, token = await self._handler.list_preferences(request.task, convert.page(request))
        return pb.ListPreferencesResponse(
            preferences=[convert.message(pb.Preference, each) for each in found],
            next_page_token=token,
        )
