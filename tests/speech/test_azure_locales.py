"""Languages as Azure knows them."""

import pytest

from offhook.speech.azure_locales import candidates, locale


@pytest.mark.parametrize(
    ("language", "full"),
    [
        ("de", "de-DE"),
        ("en", "en-US"),
        ("ja", "ja-JP"),
        ("en-gb", "en-GB"),
        ("de_AT", "de-AT"),
        ("zh-hans-CN", "zh-Hans-CN"),
        ("es-419", "es-419"),
    ],
)
def test_a_language_has_a_region(language: str, full: str) -> None:
    assert locale(language) == full


def test_candidates_are_four_languages_at_most_with_one_region_each() -> None:
    assert candidates(["en-US", "en-GB", "de", "fr-FR", "pl-PL", "it-IT"], []) == ("en-US", "de-DE", "fr-FR", "pl-PL")


def test_candidates_are_the_default_where_none_are_given() -> None:
    assert candidates([], ["de", "en-US"]) == ("de-DE", "en-US")
