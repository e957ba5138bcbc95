"""SSML as apps write it (contract D10)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.speech.ssml import (
    MAX_BREAK_MS,
    document,
    ends_with_break,
    leading_break_ms,
    text_of,
    with_short_breaks,
    with_voices,
)


@pytest.mark.parametrize(
    ("given_ssml", "expected"),
    [
        ("hello <break time='1s'/>", "<speak>hello <break time='1s'/></speak>"),
        ("<speak>hello</speak>", "<speak>hello</speak>"),
        ('<SPEAK version="1.0">hello</SPEAK>', '<SPEAK version="1.0">hello</SPEAK>'),
        ("<?xml version='1.0'?>\n<!-- x --><speak>hello</speak>", "<speak>hello</speak>"),
        ("<speaker>", "<speak><speaker></speak>"),
    ],
)
def test_ssml_becomes_one_document(given_ssml: str, expected: str) -> None:
    assert document(given_ssml) == expected


@pytest.mark.parametrize(
    ("ssml", "text"),
    [
        ("<speak>Hello <break time='1s'/>there</speak>", "Hello there"),
        ("<p>One.</p><p>Two.</p>", "One. Two."),
        ("at <sub alias='World Wide Web Consortium'>W3C</sub> today", "at World Wide Web Consortium today"),
        ("Tom &amp; Jerry &lt;3", "Tom & Jerry <3"),
        ("<speak>a < b", "a < b"),
        ("<speak>un<prosody rate='slow'>closed", "unclosed"),
        ("<!-- never said -->said", "said"),
    ],
)
def test_the_text_of_ssml_is_what_would_be_said(ssml: str, text: str) -> None:
    assert text_of(ssml) == text


@given(st.text(alphabet="<>&;/'\"= abspeakbreaktime10", max_size=80))
def test_broken_ssml_never_raises(ssml: str) -> None:
    text_of(document(ssml))
    with_voices(with_short_breaks(ssml), lambda _name, _language: ("en-us", None))
    assert 0 <= leading_break_ms(ssml) <= MAX_BREAK_MS
    ends_with_break(ssml)


@pytest.mark.parametrize(
    ("ssml", "ms"),
    [
        ("<speak><break time='2s'/>one</speak>", 2000),
        ("<speak><p><break time='250ms'/> <break/>one</p></speak>", 650),
        ("<break strength='strong'/>one", 700),
        ("<speak>one<break time='2s'/></speak>", 0),
        ("<break time='99999999999999999999s'/>one", MAX_BREAK_MS),
    ],
)
def test_breaks_before_the_first_word_are_counted(ssml: str, ms: int) -> None:
    assert leading_break_ms(ssml) == ms


def test_a_break_at_the_end_is_seen() -> None:
    assert ends_with_break("<speak>one<break time='1s'/></speak>")
    assert not ends_with_break("<speak><break time='1s'/>one</speak>")


def test_a_break_of_an_hour_is_shortened() -> None:
    assert with_short_breaks("a<break time='3600s'/>b<break time='1s'/>") == (
        f"a<break time=\"{MAX_BREAK_MS}ms\"/>b<break time='1s'/>"
    )


def test_voices_and_languages_get_the_engines_names() -> None:
    def named(voice: str | None, language: str | None) -> tuple[str, str | None]:
        return ("de", "female") if voice == "de-DE-KatjaNeural" else ((language or "x").split("-")[0], None)

    ssml = (
        '<speak xml:lang=\'fr-FR\'><voice name="de-DE-KatjaNeural">Tag</voice><lang xml:lang="es-ES">sí</lang></speak>'
    )
    assert with_voices(ssml, named) == (
        '<speak xml:lang="fr"><voice xml:lang="de" gender="female">Tag</voice><voice xml:lang="es">sí</voice></speak>'
    )
