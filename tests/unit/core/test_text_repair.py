"""The repair of texts before a model sees them."""

import re
import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.core.test_text import tokenizer_json
from tidemill_core.text import TextEncoder
from tidemill_core.text_repair import REPAIR_VERSION, TextRepair, repair


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("cafÃ©", "café"),
        ("cafe\u0301", "café"),
        ("hidden fees \x97 why?", "hidden fees — why?"),
        ("na\u00c3\u00afve", "naïve"),
        ("cafA\u0303\u00a9", "café"),
        ("voil\u00c3\nle travail", "voilà le travail"),
        ("se\u00c3\u00b1or \u00e2\x80\x9chola\u00e2\x80\x9d \r\n", "señor “hola”"),
        ("  a \t b\r\n", "a b"),
        ("a\u00a0\u3000b\u2028c", "a b c"),
        ("a\x0bb\x0cc", "a b c"),
        ("a\x1fb", "a\x1fb"),
        ("👍", "👍"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_repair_gives_texts_one_form(text: str, repaired: str) -> None:
    """Encodings are fixed, accents composed, whitespace is one space; control characters stay."""
    assert repair(text) == repaired


@given(st.text(alphabet=st.characters(codec="ascii")))
def test_repair_of_ascii_changes_whitespace_alone(text: str) -> None:
    """The fast path for printable text gives the same result as the slow one."""
    assert repair(text) == re.sub(r"[ \t\n\r\x0b\x0c]+", " ", text).strip(" ")


_ENCODINGS = st.sampled_from(["latin-1", "cp1252", "cp1251", "cp437", "mac_roman"])
_FORMS = st.sampled_from(["NFC", "NFD"])


@given(st.text("aé€“Åß 👍\u00a0\n\tя"), _ENCODINGS, _FORMS)
def test_repair_changes_nothing_twice(text: str, encoding: str, form: Literal["NFC"]) -> None:
    """Builds repair texts before a training repairs them again, and serving repairs them once."""
    damaged = unicodedata.normalize(form, text.encode().decode(encoding, errors="ignore"))
    assert repair(repair(damaged)) == repair(damaged)


def test_a_model_is_asked_with_the_rules_of_its_training() -> None:
    """Version 1 repairs a text in one step, which hid some wrong encodings from version 2's."""
    broken = "voil\u00c3\nle travail"
    assert TextRepair(1)(broken) == "voilÃ le travail"
    assert TextRepair(2)(broken) == "voilà le travail"


def test_redaction_follows_repair() -> None:
    """Personal data that a wrong encoding or a line end hides is found too."""
    redacts = TextRepair(redact=("phone", "email"))
    assert redacts("call +44\u00a020 7946\n0958 or a.b@example.org") == "call [PHONE] or [EMAIL]"


def test_an_encoder_repairs_what_it_is_asked() -> None:
    """A model gets the form that it was trained on, whatever the text's spelling."""
    encoder = TextEncoder(tokenizer_json(), 4, TextRepair(redact=("email",)))
    plain = TextEncoder(tokenizer_json(), 4)
    broken, whole = "a.b@example.org c\u00c3\u00a1rd\x0b", "[EMAIL] cárd"
    assert encoder.encode([broken]).tolist() == plain.encode([whole]).tolist() == [[1, 1, 1, 2]]
    assert plain.encode(["a.b@example.org cárd"]).tolist() == [[1, 1, 1, 1]]


@pytest.mark.parametrize(
    ("version", "kinds", "message"),
    [
        (REPAIR_VERSION + 1, (), f"version {REPAIR_VERSION + 1} is unknown"),
        (0, (), "version 0 is unknown"),
        (REPAIR_VERSION, ("ssn",), r"\['ssn'\] cannot be redacted"),
    ],
)
def test_unknown_rules_are_refused(version: int, kinds: tuple[str, ...], message: str) -> None:
    """A model that was trained with other rules is refused."""
    with pytest.raises(ValueError, match=message):
        TextRepair(version, kinds)
