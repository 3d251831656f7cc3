"""Feedback on every transport: its rules, and streams that end early."""

from collections.abc import AsyncIterator, Sequence

import pytest

from tests.integration.server.front import NOW, Workspace
from tests.integration.server.models import LABELS
from tidemill_core.errors import InvalidArgument
from tidemill_core.prediction_id import PredictionClaims, PredictionIdSigner
from tidemill_core.settings import FilesSource, LabelNames, TaskSettings
from tidemill_core.storage.database import Page
from tidemill_core.unknown_label import UnknownLabel
from tidemill_server.handlers.feedback import (
    CHUNK,
    MAX_LISTED_REJECTIONS,
    FeedbackHandler,
    NewFeedback,
)
from tidemill_server.inference.router import Router


@pytest.fixture
def handler(workspace: Workspace, router: Router, signer: PredictionIdSigner) -> FeedbackHandler:
    """Return a handler over the workspace's database."""
    storage = workspace.storage
    return FeedbackHandler(storage.feedback, signer, router, lambda: NOW)


@pytest.fixture
def prediction_id(signer: PredictionIdSigner) -> str:
    """Return the id of a prediction of `support`."""
    [made] = signer.sign_each(PredictionClaims("support", 1, NOW, 1.0), 1)
    return made


async def stream(
    items: Sequence[NewFeedback], error: Exception | None = None
) -> AsyncIterator[NewFeedback]:
    """Yield a caller's stream, and end it with an error."""
    for item in items:
        yield item
    if error is not None:
        raise error


async def sources(handler: FeedbackHandler) -> list[str]:
    """Return the sources of the stored feedback, newest first."""
    found, _ = await handler.list_feedback("support", "", Page(1000))
    return [each.source for each in found]


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        (LABELS[0][:-1], f"; did you mean '{LABELS[0]}'?"),
        (LABELS[0].upper(), f"; did you mean '{LABELS[0]}'?"),
        ("☃" * 300, "."),
    ],
)
async def test_a_new_label_is_refused_with_the_ways_to_add_it(
    handler: FeedbackHandler, prediction_id: str, label: str, meant: str
) -> None:
    """The error names similar labels, and each way to add a label."""
    with pytest.raises(UnknownLabel) as caught:
        await handler.submit(NewFeedback(prediction_id, label=label))
    assert (caught.value.reason, caught.value.field) == ("UNKNOWN_LABEL", "label")
    assert str(caught.value) == (
        f"label: {label[:100]!r} is not one of the {len(LABELS)} labels of 'support'{meant}"
        " To add a label, add a row with it to a source, import texts that have it (`tidemill"
        " label import`), or set labels.add in tidemill.toml, under [tasks.support.labels]"
    )


async def test_labels_that_the_settings_name_are_taken(
    workspace: Workspace, signer: PredictionIdSigner, prediction_id: str
) -> None:
    """Added ones, new names and old ones, stored as they were given; no old name is suggested."""
    names = LabelNames(add=["crypto"], rename={"old_card": "lost_card"})
    settings = TaskSettings(sources=[FilesSource(path="x.csv")], labels=names)
    storage = workspace.storage
    router = Router(storage.models, workspace.repository, {"support": settings})
    await router.refresh()
    handler = FeedbackHandler(storage.feedback, signer, router, lambda: NOW)
    for label in ("crypto", "old_card", "lost_card"):
        stored = await handler.submit(NewFeedback(prediction_id, label=label, source=label))
        assert stored.label == label
    with pytest.raises(UnknownLabel) as caught:
        await handler.submit(NewFeedback(prediction_id, label="old_cards"))
    assert (
        f"one of the {len(LABELS) + 2} labels of 'support'; did you mean 'lost_card' or 'card'?"
        in str(caught.value)
    )


async def test_a_label_has_the_form_of_labels_in_datasets(
    workspace: Workspace, signer: PredictionIdSigner, prediction_id: str
) -> None:
    """Spaces, Unicode forms and wrong encodings are repaired, as in sources and imports."""
    settings = TaskSettings(sources=[FilesSource(path="x.csv")], labels=LabelNames(add=["café au"]))
    router = Router(workspace.storage.models, workspace.repository, {"support": settings})
    await router.refresh()
    handler = FeedbackHandler(workspace.storage.feedback, signer, router, lambda: NOW)
    for label in ("cafe\u0301 au", " café  au\n", "café\u00a0au", "cafÃ© au"):
        given = NewFeedback(prediction_id, label=label, source=ascii(label))
        assert (await handler.submit(given)).label == "café au"


async def test_feedback_says_one_thing(handler: FeedbackHandler, prediction_id: str) -> None:
    """Feedback with neither or both of `correct` and `label` is refused."""
    both = NewFeedback(prediction_id, correct=True, label=LABELS[0])
    for new, reason in ((NewFeedback(prediction_id), "MISSING_VERDICT"), (both, "TWO_VERDICTS")):
        with pytest.raises(InvalidArgument) as caught:
            await handler.submit(new)
        assert (caught.value.reason, caught.value.field) == (reason, "verdict")
    assert await sources(handler) == []


async def test_what_came_before_a_malformed_message_is_stored(
    handler: FeedbackHandler, prediction_id: str
) -> None:
    """Full and partial chunks are stored, except for rejected messages."""
    good = [NewFeedback(prediction_id, True, source=str(number)) for number in range(CHUNK + 1)]
    malformed = InvalidArgument("MALFORMED_MESSAGE", "message", "cannot be decoded")
    with pytest.raises(InvalidArgument, match="cannot be decoded"):
        await handler.submit_many(stream([NewFeedback("forged"), *good], malformed))
    assert await sources(handler) == [new.source for new in reversed(good)]


async def test_not_every_rejection_is_listed(handler: FeedbackHandler, prediction_id: str) -> None:
    """The first rejections are listed by index; all of them are counted."""
    wrong = [NewFeedback("forged")] * (MAX_LISTED_REJECTIONS + 5)
    good = NewFeedback(prediction_id, correct=False)
    outcome = await handler.submit_many(stream([good, *wrong]))
    assert (outcome.accepted_count, outcome.rejected_count) == (1, len(wrong))
    assert [each.index for each in outcome.rejections] == [*range(1, MAX_LISTED_REJECTIONS + 1)]
