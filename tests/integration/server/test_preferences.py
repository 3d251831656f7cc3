"""Preferences over FeedbackService: checked, durable, and counted once."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.server.front import Front, Workspace
from tests.integration.server.refusal import refusal, words
from tidemill.v1 import feedback_service_pb2 as pb
from tidemill_client import TidemillClient
from tidemill_core.domain.preference import Preference

LONGEST = 16_000
PAIR = {
    "task": "support",
    "prompt": "Where is my card?",
    "chosen": "It was sent on Monday.",
    "rejected": "No idea.",
}


def submit(front: Front, **changes: Any) -> pb.Preference:
    """Submit one judgement of PAIR."""
    request = pb.SubmitPreferenceRequest(**{**PAIR, **changes})
    return front.feedback.SubmitPreference(request, timeout=10).preference


def rows(workspace: Workspace, annotator: str) -> list[tuple[Any, ...]]:
    """Return an annotator's stored rows, read over another connection."""
    query = "SELECT task, prompt, chosen, rejected, reason FROM preferences WHERE annotator = ?"
    with closing(sqlite3.connect(workspace.database)) as connection:
        return connection.execute(query, [annotator]).fetchall()


def test_an_acknowledged_judgement_is_stored(front: Front, workspace: Workspace) -> None:
    """When the call returns, every connection sees the row as it was sent."""
    answer = submit(front, annotator="stored", reason="ü\n漢字")
    assert rows(workspace, "stored") == [(*PAIR.values(), "ü\n漢字")]
    assert len(answer.preference_id) == 32
    assert abs(answer.create_time.ToDatetime(tzinfo=UTC) - datetime.now(UTC)).total_seconds() < 60
    answer.ClearField("preference_id")
    answer.ClearField("create_time")
    assert answer == pb.Preference(**PAIR, annotator="stored", reason="ü\n漢字")


def test_a_judgement_needs_no_task(front: Front, workspace: Workspace) -> None:
    """A pair without a task is also stored."""
    submit(front, task="", annotator="taskless")
    assert [row[0] for row in rows(workspace, "taskless")] == [""]


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"task": "weather"}, "UNKNOWN_TASK", "task"),
        ({"prompt": ""}, "BLANK_TEXT", "prompt"),
        ({"chosen": " \n\t"}, "BLANK_TEXT", "chosen"),
        ({"rejected": "\u200b\u2060"}, "BLANK_TEXT", "rejected"),
        ({"annotator": ""}, "BLANK_TEXT", "annotator"),
        ({"annotator": "\u3000"}, "BLANK_TEXT", "annotator"),
        ({"prompt": "p" * (LONGEST + 1)}, "VALUE_TOO_LONG", "prompt"),
        ({"chosen": "p" * (LONGEST + 1)}, "VALUE_TOO_LONG", "chosen"),
        ({"rejected": "p" * (LONGEST + 1)}, "VALUE_TOO_LONG", "rejected"),
        ({"annotator": "a" * 201}, "VALUE_TOO_LONG", "annotator"),
        ({"reason": "r" * 2001}, "VALUE_TOO_LONG", "reason"),
        ({"request_id": "r" * 201}, "VALUE_TOO_LONG", "request_id"),
        ({"prompt": "a\0b"}, "CONTROL_CHARACTERS", "prompt"),
        ({"chosen": "a\x85b"}, "CONTROL_CHARACTERS", "chosen"),
        ({"annotator": "a\x1bb"}, "CONTROL_CHARACTERS", "annotator"),
        ({"rejected": PAIR["chosen"]}, "SAME_ANSWER", "rejected"),
        ({"rejected": "IT was\nsent  on \uff2donday. "}, "SAME_ANSWER", "rejected"),
    ],
)
def test_a_wrong_judgement_is_refused_by_field(
    front: Front, workspace: Workspace, fields: dict[str, Any], reason: str, field: str
) -> None:
    """Each broken rule is INVALID_ARGUMENT with its reason and field, and nothing is stored."""
    asked = {"annotator": "refused", **fields}
    refused = refusal(lambda: submit(front, **asked))
    assert words(refused) == ("INVALID_ARGUMENT", reason, field)
    assert rows(workspace, asked["annotator"]) == []


def test_a_lone_surrogate_is_malformed(front: Front) -> None:
    """A lone surrogate is refused in every field."""
    good = pb.SubmitPreferenceRequest(**PAIR, annotator="bytes").SerializeToString()
    channel: Any = front.channel
    call = channel.unary_unary("/tidemill.v1.FeedbackService/SubmitPreference")
    refused = refusal(lambda: call(good + b"\x12\x03\xed\xa0\x80", timeout=10))
    assert words(refused) == ("INVALID_ARGUMENT", "MALFORMED_MESSAGE", "message")


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"task": "weather"}, "UNKNOWN_TASK", "task"),
        ({"prompt": ""}, "BLANK_TEXT", "prompt"),
        ({"second": "s" * (LONGEST + 1)}, "VALUE_TOO_LONG", "second"),
        ({"second": "ONE "}, "SAME_ANSWER", "second"),
    ],
)
def test_a_wrong_pair_is_refused_by_field(
    front: Front, fields: dict[str, Any], reason: str, field: str
) -> None:
    """Each broken rule is INVALID_ARGUMENT with its reason and field."""
    pair = {"task": "support", "prompt": "p", "first": "one", "second": "two", **fields}
    request = pb.SubmitPreferencePairRequest(**pair)
    refused = refusal(lambda: front.feedback.SubmitPreferencePair(request, timeout=10))
    assert words(refused) == ("INVALID_ARGUMENT", reason, field)


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"task": "weather"}, "UNKNOWN_TASK", "task"),
        ({"annotator": " "}, "BLANK_TEXT", "annotator"),
        ({"max_items": 101}, "INVALID_MAX_ITEMS", "max_items"),
        ({"max_items": -1}, "INVALID_MAX_ITEMS", "max_items"),
    ],
)
def test_wrong_questions_for_pairs_are_refused(
    front: Front, fields: dict[str, Any], reason: str, field: str
) -> None:
    """Each broken rule is INVALID_ARGUMENT with its reason and field."""
    request = pb.NextPreferencePairsRequest(**{"task": "support", "annotator": "a", **fields})
    refused = refusal(lambda: front.feedback.NextPreferencePairs(request, timeout=10))
    assert words(refused) == ("INVALID_ARGUMENT", reason, field)


def test_repeating_a_request_id_changes_nothing(front: Front, workspace: Workspace) -> None:
    """The same request id gets the first answer again, whatever else the repeat says."""
    first = submit(front, annotator="repeats", request_id="preference-1")
    again = submit(front, annotator="repeats", request_id="preference-1", prompt="another")
    assert again == first
    assert len(rows(workspace, "repeats")) == 1


def test_a_changed_mind_replaces_and_another_opinion_does_not(
    front: Front, workspace: Workspace
) -> None:
    """A reversed judgement names the annotator's earlier one; all stay stored."""
    swapped = {"chosen": "NO idea.", "rejected": PAIR["chosen"]}
    first = submit(front, annotator="fickle")
    other = submit(front, annotator="firm", **swapped)
    turned = submit(front, annotator="fickle", **swapped)
    assert [each.replaced_preference_id for each in (first, other)] == ["", ""]
    assert turned.replaced_preference_id == first.preference_id
    assert len(rows(workspace, "fickle")) == 2


def test_a_list_is_paged_and_filtered(front: Front) -> None:
    """Following the tokens shows each of the task's judgements once, newest first."""
    made = [submit(front, task="swapped", annotator=f"page-{n}") for n in range(5)]
    submit(front, task="support", annotator="page-other")
    found: list[pb.Preference] = []
    token = ""
    while True:
        request = pb.ListPreferencesRequest(task="swapped", page_size=2, page_token=token)
        page = front.feedback.ListPreferences(request, timeout=10)
        assert len(page.preferences) <= 2
        found += page.preferences
        if not (token := page.next_page_token):
            break
    assert found == made[::-1]


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"page_token": "nonsense"}, "INVALID_PAGE_TOKEN", "page_token"),
        ({"page_size": -1}, "INVALID_PAGE_SIZE", "page_size"),
    ],
)
def test_a_wrong_page_is_refused(
    front: Front, fields: dict[str, Any], reason: str, field: str
) -> None:
    """A token that no list returned and a negative size are INVALID_ARGUMENT."""
    asked = pb.ListPreferencesRequest(**fields)
    refused = refusal(lambda: front.feedback.ListPreferences(asked, timeout=10))
    assert words(refused) == ("INVALID_ARGUMENT", reason, field)


def test_a_page_of_the_largest_fits_into_a_message(front: Front, workspace: Workspace) -> None:
    """100 judgements of maximal size fit into a page, however many were requested."""
    now, wide = datetime.now(UTC), "🎉"
    for number in range(101):
        workspace.storage.preferences.add(
            Preference(
                preference_id=f"{number:032}",
                task="mixed",
                prompt=wide * LONGEST,
                chosen=wide * (LONGEST - 1) + "a",
                rejected=wide * LONGEST,
                annotator=f"{number:03}" + wide * 197,
                reason=wide * 2000,
                request_id="",
                create_time=now,
                replaced_preference_id="0" * 32,
            )
        )
    request = pb.ListPreferencesRequest(task="mixed", page_size=1000)
    with TidemillClient(front.address) as client:
        page = client.feedback.ListPreferences(request, timeout=20)
    assert len(page.preferences) == 100
    assert page.next_page_token
