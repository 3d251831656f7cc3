"""FeedbackService."""

from collections.abc import AsyncIterator

from tidemill.v1 import feedback_service_pb2 as pb
from tidemill_core.storage.feedback_holds import HoldFilter
from tidemill_server import convert, convert_holds
from tidemill_server.handlers.feedback import FeedbackHandler
from tidemill_server.handlers.held_feedback import HeldFeedbackHandler
from tidemill_server.handlers.preference import NewPreference, PreferenceHandler


class FeedbackServicer:
    """Feedback on predictions, and preferences between two answers."""

    def __init__(
        self, handler: FeedbackHandler, held: HeldFeedbackHandler, preferences: PreferenceHandler
    ) -> None:
        self._handler = handler
        self._held = held
        self._preferences = preferences

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

    async def ListHeldFeedback(
        self, request: pb.ListHeldFeedbackRequest, _: object
    ) -> pb.ListHeldFeedbackResponse:
        """List held verdicts, newest first."""
        which = HoldFilter(request.task, request.source, convert_holds.hold_reason(request.reason))
        found, token = await self._held.list_held(
            which, convert_holds.hold_state(request.state), convert.page(request)
        )
        return pb.ListHeldFeedbackResponse(
            held=map(convert_holds.held_feedback, found), next_page_token=token
        )

    async def ResolveHeldFeedback(
        self, request: pb.ResolveHeldFeedbackRequest, _: object
    ) -> pb.ResolveHeldFeedbackResponse:
        """Release or drop held verdicts."""
        reason = convert_holds.hold_reason(request.reason)
        which = HoldFilter(request.task, request.source, reason, tuple(request.feedback_ids))
        count = await self._held.resolve(
            which, convert_holds.hold_state(request.state), request.actor, request.comment
        )
        return pb.ResolveHeldFeedbackResponse(resolved_count=count)

    async def SubmitPreference(
        self, request: pb.SubmitPreferenceRequest, _: object
    ) -> pb.SubmitPreferenceResponse:
        """Store which of two answers is better."""
        stored = await self._preferences.submit(convert.value_of(NewPreference, request))
        return pb.SubmitPreferenceResponse(preference=convert.message(pb.Preference, stored))

    async def ListPreferences(
        self, request: pb.ListPreferencesRequest, _: object
    ) -> pb.ListPreferencesResponse:
        """List preference pairs, newest first."""
        found, token = await self._preferences.list_judgements(request.task, convert.page(request))
        return pb.ListPreferencesResponse(
            preferences=[convert.message(pb.Preference, each) for each in found],
            next_page_token=token,
        )

    async def SubmitPreferencePair(
        self, request: pb.SubmitPreferencePairRequest, _: object
    ) -> pb.SubmitPreferencePairResponse:
        """Store a pair of answers for people to judge."""
        stored = await self._preferences.submit_pair(
            request.task, request.prompt, request.first, request.second
        )
        return pb.SubmitPreferencePairResponse(pair=convert.message(pb.PreferencePair, stored))

    async def NextPreferencePairs(
        self, request: pb.NextPreferencePairsRequest, _: object
    ) -> pb.NextPreferencePairsResponse:
        """Return pairs that an annotator has not judged."""
        found = await self._preferences.next_pairs(
            request.task, request.annotator, request.max_items
        )
        pairs = [convert.message(pb.PreferencePair, each) for each in found]
        return pb.NextPreferencePairsResponse(pairs=pairs)
