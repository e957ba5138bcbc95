"""Which of espeak-ng's voices speaks (contract section 7: Azure names map by their language)."""

import pytest

from offhook.speech.espeak_voices import choose_voice, language_for

KNOWN = frozenset("de en-us en-gb en-029 cmn yue fr-fr fr-ch es es-419 pt pt-br nb ru he".split())  # noqa: SIM905


@pytest.mark.parametrize(
    ("voice", "language", "expected"),
    [
        ("de-DE-KatjaNeural", None, "de+f3"),
        ("de-DE-ConradNeural", "en-US", "de"),
        ("en-US-JennyMultilingualNeural", None, "en-us+f3"),
        ("en-GB-RyanNeural", None, "en-gb"),
        ("zh-CN-XiaoxiaoNeural", None, "cmn+f3"),
        ("en-US-Ava:DragonHDLatestNeural", None, "en-us+f3"),
        ("en-us+f4", "de-DE", "en-us+f4"),
        ("de", None, "de"),
        ("21m00Tcm4TlvDq8ikWAM", "de-DE", "de"),
        ("Rachel", None, "en-us"),
        (None, "de-AT", "de"),
        (None, None, "en-us"),
    ],
)
def test_a_voice_is_chosen(voice: str | None, language: str | None, expected: str) -> None:
    choice = choose_voice(voice, language, KNOWN, "en-US")

    assert (choice.voice, choice.understood) == (expected, True)


@pytest.mark.parametrize(("voice", "language"), [(None, "tlh"), ("xx-XX-FooNeural", None), ("xx-XX-FooNeural", "zz")])
def test_the_default_stands_in_for_an_unknown_language_and_says_so(voice: str | None, language: str | None) -> None:
    choice = choose_voice(voice, language, KNOWN, "de-DE")

    assert (choice.voice, choice.understood) == ("de", False)


def test_an_unknown_vendor_voice_leaves_the_language_that_was_asked() -> None:
    assert choose_voice("xx-XX-FooNeural", "fr-CA", KNOWN, "en-US").voice == "fr-fr"


@pytest.mark.parametrize(
    ("bcp47", "name"),
    [
        ("de-AT", "de"),
        ("DE_de", "de"),
        ("en", "en-us"),
        ("en-AU", "en-gb"),
        ("zh-CN", "cmn"),
        ("zh-Hant-TW", "cmn"),
        ("zh-HK", "yue"),
        ("es-MX", "es-419"),
        ("es-ES", "es"),
        ("pt-BR", "pt-br"),
        ("pt-PT", "pt"),
        ("fr", "fr-fr"),
        ("fr-CH", "fr-ch"),
        ("no", "nb"),
        ("iw", "he"),
        ("tlh", None),
        ("", None),
    ],
)
def test_a_language_falls_back_within_itself(bcp47: str, name: str | None) -> None:
    assert language_for(bcp47, KNOWN) == name
