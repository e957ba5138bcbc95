"""SSML made ready for Azure, which takes no fragments and nothing that is no XML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.speech.azure_ssml import of_ssml, of_text
from tests.fakes.azure import spoken_of

VOICE = "en-US-JennyNeural"


def as_azure(ssml: str) -> tuple[str, str] | str:
    """The voice and the text that Azure would speak, or why it would not."""
    return spoken_of(of_ssml(ssml, VOICE, "en-US")[0], [VOICE, "de-DE-KatjaNeural"])


@given(text=st.text(st.characters(exclude_categories=["Cc", "Cs", "Co", "Cn"]), min_size=1))
def test_text_is_said_as_it_is(text: str) -> None:
    said = spoken_of(of_text(text, VOICE, "en-US"), [VOICE])

    assert said == (VOICE, " ".join(text.split()))


@pytest.mark.parametrize(
    ("ssml", "voice", "text"),
    [
        ("Good morning", VOICE, "Good morning"),
        ("<speak>Good morning</speak>", VOICE, "Good morning"),
        ("<speak/>", VOICE, ""),
        ("<speak version='1.0'>It's <break/> fine</speak>", VOICE, "It's fine"),
        ('<speak xml:lang="de-DE"><voice name="de-DE-KatjaNeural">Tag</voice></speak>', "de-DE-KatjaNeural", "Tag"),
        ('<voice name="de-DE-KatjaNeural">Tag</voice>', "de-DE-KatjaNeural", "Tag"),
        ('<?xml version="1.0"?><!-- hello --><speak>Good day</speak>', VOICE, "Good day"),
        ('<mstts:express-as style="cheerful">Nice!</mstts:express-as>', VOICE, "Nice!"),
        ("<speak>a < b & c &amp; d</speak>", VOICE, "a < b & c & d"),
        ("<speak>caf&eacute;&nbsp;Offhook &lol;</speak>", VOICE, "café Offhook &lol;"),
        ("<speak><![CDATA[a < b & c]]></speak>", VOICE, "a < b & c"),
        ('<SPEAK VERSION="1.0">Shouting</SPEAK>', VOICE, "Shouting"),
    ],
)
def test_what_an_app_left_out_is_added(ssml: str, voice: str, text: str) -> None:
    assert as_azure(ssml) == (voice, text)


@pytest.mark.parametrize("ssml", ["<speak><p>Good morning</speak>", "Good <b>morning", "<speak>Good morning"])
def test_what_is_no_xml_even_then_is_said_as_its_text(ssml: str) -> None:
    assert as_azure(ssml) == (VOICE, "Good morning")


def test_it_says_whether_the_document_is_whole() -> None:
    assert of_ssml("<speak>Good</speak>", VOICE, "en-US")[1]
    assert not of_ssml("<speak><p>Good</speak>", VOICE, "en-US")[1]


def test_a_document_that_has_everything_is_not_touched() -> None:
    ssml = (
        "<speak version='1.0' xmlns='http://www.w3.org/2001/10/synthesis' xmlns:mstts='http://www.w3.org/2001/mstts' "
        "xml:lang='de-DE'><mstts:backgroundaudio src='https://x/y.wav'/><voice name='de-DE-KatjaNeural'>Tag "
        "<lang xml:lang='en-US'>day</lang></voice></speak>"
    )

    assert of_ssml(ssml, VOICE, "en-US") == (ssml, True)


@given(ssml=st.text(st.characters(exclude_categories=["Cc", "Cs", "Co", "Cn"])))
def test_whatever_an_app_sends_is_xml_for_azure(ssml: str) -> None:
    said = as_azure(ssml)

    assert isinstance(said, tuple) or "SSML is invalid" not in said
