"""Languages as Azure knows them: always with a region, and for identification one of each language."""

from collections.abc import Sequence
from typing import Final

MAX_CANDIDATES: Final = 4
"""Languages that Azure tells apart at the start of a turn (its documentation of language identification)."""

_REGIONS: Final = {
    "ar": "EG",
    "ca": "ES",
    "cs": "CZ",
    "da": "DK",
    "el": "GR",
    "en": "US",
    "et": "EE",
    "eu": "ES",
    "fa": "IR",
    "he": "IL",
    "hi": "IN",
    "ja": "JP",
    "ko": "KR",
    "nb": "NO",
    "sl": "SI",
    "sq": "AL",
    "sr": "RS",
    "sv": "SE",
    "uk": "UA",
    "vi": "VN",
    "zh": "CN",
}
"""The usual region of a language that is not called as its country is."""


def locale(language: str) -> str:
    """The language with a region: `de` is `de-DE`; one that has a region stays, spelled as Azure does."""
    first, *others = language.replace("_", "-").split("-")
    first = first.lower()
    if not others:
        return f"{first}-{_REGIONS.get(first, first.upper())}"
    return "-".join((first, *(part.upper() if len(part) == 2 else part.capitalize() for part in others)))


def candidates(languages: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    """The languages that a caller may speak: at most four, one region of each; `default` where none are given."""
    found: dict[str, str] = {}
    for language in languages or default:
        full = locale(language)
        found.setdefault(full.partition("-")[0], full)
    return tuple(found.values())[:MAX_CANDIDATES]
