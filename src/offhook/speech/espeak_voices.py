"""Which of espeak-ng's voices speaks for a voice or language asked for by an app (contract section 7)."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

# Languages whose espeak-ng name is not their BCP-47 name, or whose region has no voice of its own.
_OTHER_NAMES: Final = {
    "en": "en-us",
    "en-ca": "en-us",
    "en-ph": "en-us",
    "en-029": "en-029",
    "en-au": "en-gb",
    "en-hk": "en-gb",
    "en-ie": "en-gb",
    "en-in": "en-gb",
    "en-ke": "en-gb",
    "en-ng": "en-gb",
    "en-nz": "en-gb",
    "en-sg": "en-gb",
    "en-tz": "en-gb",
    "en-uk": "en-gb",
    "en-za": "en-gb",
    "es-es": "es",
    "es": "es",
    "fr": "fr-fr",
    "fr-ca": "fr-fr",
    "zh": "cmn",
    "zh-hk": "yue",
    "zh-mo": "yue",
    "no": "nb",
    "nn": "nb",
    "pt": "pt",
    "iw": "he",
    "in": "id",
    "sh": "hr",
    "mo": "ro",
    "cmn-hans-cn": "cmn",
}
_FALL_BACK_WITHIN: Final = {"en": "en-us", "es": "es-419", "fr": "fr-fr", "zh": "cmn", "no": "nb"}

# First names of well-known vendors' voices, where the name tells; every other voice keeps espeak-ng's own (a man's).
_WOMENS_NAMES: Final = """
abbi abril agnieszka aigul aisha alba amala amber ana andrea aria ashley athena ava beatriz belkys bella brigitte
carlota carly catalina celeste clara colette coralie cora dalia debora denise dena elena elizabeth elke eloise elsa
elvira emily emma estrella fabiola fatima fenna fernanda fiamma francisca freya gadis gisela giovanna hilda hollie
imelda ingrid irene irma isabella jacqueline jane jenny josephine katja klarissa laia larissa leila leni leticia lia
libby louisa maisie maja manuela maria marina mayu michelle mia molly monica nanami nancy natasha neerja noora nuria
olivia palmira phoebe pierina raquel renata rosa salma sara seraphina shiori sonia sunhi svetlana swara tanja tessa
triana vera vivienne xiaoxiao xiaoyi yelda yolanda yvette zariyah zira zofia zuzana
"""
_WOMEN: Final = frozenset(_WOMENS_NAMES.split())

_VENDOR_VOICE: Final = re.compile(r"([a-z]{2,3}(?:-[a-z]{4})?-[a-z]{2,3}|[a-z]{2,3}-\d{3})-([a-z]+)", re.IGNORECASE)
_VENDOR_ENDINGS: Final = re.compile(r"(multilingual|dragonhd.*|turbo|neural|\d+|v\d+|hd)+$", re.IGNORECASE)
_OWN_VOICE: Final = re.compile(r"([a-z]{2,3}(?:-[\w-]+)?)(\+[a-z]\w*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class VoiceChoice:
    """`voice` is espeak-ng's name with its variant, `language` the same without; `understood` is False where the
    default had to stand in for the language asked for."""

    voice: str
    language: str
    female: bool
    understood: bool


def choose_voice(voice: str | None, language: str | None, known: Collection[str], default: str) -> VoiceChoice:
    """Espeak-ng's voice for what was asked.

    Args:
        voice: an Azure name (`de-DE-KatjaNeural`: its language counts, and its first name where that tells a woman),
            one of espeak-ng's own (`de`, `en-us+f3`), or any other engine's (then `language` counts).
        language: BCP-47.
        known: espeak-ng's languages, lower case.
        default: BCP-47, for where neither is understood.
    """
    variant, female = "", False
    if voice is not None and (vendor := _VENDOR_VOICE.match(voice.strip())):
        female = _VENDOR_ENDINGS.sub("", vendor[2]).lower() in _WOMEN
        variant = "+f3" if female else ""
        if found := language_for(vendor[1], known):
            return VoiceChoice(found + variant, found, female, True)
    elif voice is not None and (own := _OWN_VOICE.fullmatch(voice.strip())) and own[1].lower() in known:
        return VoiceChoice(own[1].lower() + (own[2] or ""), own[1].lower(), (own[2] or "").startswith("+f"), True)
    if language is not None and (found := language_for(language, known)):
        return VoiceChoice(found + variant, found, female, True)
    found = language_for(default, known) or "en-us"
    nothing_asked = language is None and not (voice is not None and _VENDOR_VOICE.match(voice.strip()))
    return VoiceChoice(found + variant, found, female, nothing_asked)


def language_for(language: str, known: Collection[str]) -> str | None:
    """Espeak-ng's name for a BCP-47 language: itself, its other name, or the nearest voice of the same language
    (`de-AT` → `de`, `en-US` → `en-us`, `zh-CN` → `cmn`, `es-MX` → `es-419`); None where it has none."""
    wanted = language.strip().replace("_", "-").lower()
    if not wanted:
        return None
    if (named := _OTHER_NAMES.get(wanted)) and named in known:
        return named
    if wanted in known:
        return wanted
    first = wanted.split("-", 1)[0]
    for candidate in (_FALL_BACK_WITHIN.get(first), _OTHER_NAMES.get(first), first):
        if candidate in known:
            return candidate
    return min((k for k in known if k.startswith(f"{first}-")), default=None)
