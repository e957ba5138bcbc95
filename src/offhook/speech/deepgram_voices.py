"""Deepgram's voices: which of them a voice and a language mean (developers.deepgram.com/docs/tts-models, and
`SpeakV1Model` of deepgram-sdk 7.17)."""

import re
from dataclasses import dataclass
from typing import Final

_MODEL: Final = re.compile(r"aura(-2)?-[a-z]+-([a-z]{2})")
_AURA_2: Final = {
    "en": "thalia amalthea andromeda apollo arcas aries asteria athena atlas aurora callista cora cordelia delia draco "
    "electra harmonia helena hera hermes hyperion iris janus juno jupiter luna mars minerva neptune odysseus ophelia "
    "orion orpheus pandora phoebe pluto saturn selene theia vesta zeus",
    "es": "celeste agustina alvaro antonia aquila carina diana estrella gloria javier luciano nestor olivia selena "
    "silvia sirio valerio",
    "de": "viktoria aurelia elara fabian julius kara lara",
    "nl": "rhea beatrix cornelia daphne hestia lars leda roman sander",
    "fr": "agathe hector",
    "it": "livia cesare cinzia demetra dionisio elio flavio maia melia",
    "ja": "izanami ama ebisu fujin uzume",
}
"""By language; the first speaks where none is named."""


@dataclass(frozen=True, slots=True)
class VoiceChoice:
    """A model's name; `understood`: it is what was asked for, or nothing was."""

    model: str
    understood: bool


def choose_voice(voice: str | None, language: str | None, default: str) -> VoiceChoice:
    """The model for a voice (a model's full name, new ones too, or a name such as `thalia`) and a BCP-47 language.

    What is not known is spoken by the language's first voice, or by `default`, where there is no language or no voice
    for it.
    """
    named = (voice or "").strip().lower()
    if _MODEL.fullmatch(named):
        return VoiceChoice(named, True)
    spoken = (language or "").lower().partition("-")[0]
    there = [tag for tag, names in _AURA_2.items() if named and named in names.split()]
    if there:
        return VoiceChoice(f"aura-2-{named}-{spoken if spoken in there else there[0]}", True)
    fits = not spoken or _language_of(default) == spoken
    model = default if fits or spoken not in _AURA_2 else f"aura-2-{_AURA_2[spoken].split()[0]}-{spoken}"
    return VoiceChoice(model, not named and (fits or spoken in _AURA_2))


def _language_of(model: str) -> str:
    found = _MODEL.fullmatch(model)
    return found[2] if found else ""
