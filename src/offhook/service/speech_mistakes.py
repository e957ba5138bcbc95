"""What is wrong between flows, aliases and the engines that are here."""

from collections import Counter
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from offhook.protocol.speech_options import same_name
from offhook.service.engine_names import STAND_INS, engine_named
from offhook.service.setting_mistakes import SettingMistake
from offhook.service.settings import Settings
from offhook.service.speech_settings import (
    EMBEDDED_EAR,
    EMBEDDED_VOICE,
    SCRIPTED,
    AzureSection,
    EngineSection,
    OpenAiSection,
    Speech,
)


def contradictions(settings: Settings, unread: frozenset[str]) -> Iterator[SettingMistake]:
    """With these the service does not start. `unread`: engines whose sections have mistakes of their own."""
    speech = settings.speech
    yield from _names_taken_twice(speech)
    if speech.azure is not None and "azure" not in unread:
        yield from _azure(speech.azure)
    for name, server in speech.openai.items():
        if not (server.hears or server.speaks or name in unread):
            remedy = "Set ear_model, voice_model or both."
            yield SettingMistake(f"speech.openai.{name}", "It neither hears nor speaks.", remedy)
    for flow in settings.flows:
        engines = [("transcriber", name, speech.transcribers) for name in flow.speech.transcriber]
        engines += [("synthesizer", name, speech.synthesizers) for name in flow.speech.synthesizer]
        for key, name, known in engines:
            if engine_named(speech, name, known) is None and not _may_be(speech, name, unread):
                said = _not_here(speech, key, name, (*known, *sorted(unread.difference(known))))
                yield SettingMistake(f"flow[{flow.id}].speech.{key}", *said)
    here = tuple(dict.fromkeys((*speech.transcribers, *speech.synthesizers)))
    for name, stand_ins in speech.aliases.items():
        for engine in stand_ins:
            if engine_named(speech, engine, here) is None and not _may_be(speech, engine, unread):
                yield SettingMistake(
                    f"speech.aliases.{name}", f"There is no engine '{engine}' here.", f"Here are: {', '.join(here)}."
                )


def _may_be(speech: Speech, name: str, unread: frozenset[str]) -> bool:
    """Whether the name stands for an engine of which too little can be read."""
    stand_ins = {same_name(alias): engines for alias, engines in (*STAND_INS.items(), *speech.aliases.items())}
    wanted = {same_name(engine) for engine in (name, *stand_ins.get(same_name(name), ()))}
    return not wanted.isdisjoint(same_name(engine) for engine in unread)


def _not_here(speech: Speech, key: str, name: str, known: tuple[str, ...]) -> tuple[str, str]:
    """What is wrong with a name that is no ear, or no voice, and what to do."""
    here = f"Here are: {', '.join(known)}."
    lacking = _LACKING[key]
    for place, section in speech.engine_places():
        if same_name(place.rpartition(".")[2]) == same_name(name):
            setting = lacking.get(type(section))
            if setting is None:
                return f"[speech.{place}] is no {key}.", here
            return f"[speech.{place}] is no {key}: it has no {setting}.", f"Set speech.{place}.{setting}. {here}"
    near = get_close_matches(name, known, n=1)
    meant = f"Did you mean '{near[0]}'? " if near else ""
    return (
        f"There is no {key} '{name}' here.",
        f"{meant}{here} Set a section [speech.…] for it, or map it in [speech.aliases].",
    )


# What makes an ear, or a voice, of a section.
_LACKING: Final[Mapping[str, Mapping[type[EngineSection], str]]] = {
    "transcriber": {OpenAiSection: "ear_model", AzureSection: "transcriber_url"},
    "synthesizer": {OpenAiSection: "voice_model", AzureSection: "synthesizer_url"},
}


def _azure(azure: AzureSection) -> Iterator[SettingMistake]:
    containers = azure.transcriber_url or azure.synthesizer_url
    places = [place for place in (azure.region, azure.url, containers) if place]
    if len(places) != 1:
        problem = "Azure is at more than one place." if places else "Azure is nowhere."
        remedy = 'Set one of region = "westeurope", url (of the resource), or transcriber_url and synthesizer_url.'
        yield SettingMistake("speech.azure", problem, remedy)
    if not azure.key and not containers:
        yield SettingMistake("speech.azure.key", "Azure needs a key.", 'Set key = "env:AZURE_SPEECH_KEY".')


def _names_taken_twice(speech: Speech) -> Iterator[SettingMistake]:
    taken = {same_name(name) for name in (EMBEDDED_EAR, EMBEDDED_VOICE, SCRIPTED)}
    counted = Counter(same_name(name) for name, _ in speech.engines())
    for place, _ in speech.engine_places():
        name = place.rpartition(".")[2]
        if "." in place and (same_name(name) in taken or counted[same_name(name)] > 1):
            yield SettingMistake(f"speech.{place}", f"There is another engine '{name}'.", "Give this one its own name.")
