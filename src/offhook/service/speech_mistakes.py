"""What is wrong between flows, aliases and the engines that are here."""

from collections import Counter
from collections.abc import Iterator

from offhook.protocol.speech_options import same_name
from offhook.service.engine_names import engine_named
from offhook.service.setting_mistakes import SettingMistake
from offhook.service.settings import Settings
from offhook.service.speech_settings import EMBEDDED_EAR, EMBEDDED_VOICE, SCRIPTED, AzureSection, Speech


def contradictions(settings: Settings) -> Iterator[SettingMistake]:
    """With these the service does not start."""
    speech = settings.speech
    yield from _names_taken_twice(speech)
    if speech.azure is not None:
        yield from _azure(speech.azure)
    for flow in settings.flows:
        engines = [("transcriber", name, speech.transcribers) for name in flow.speech.transcriber]
        engines += [("synthesizer", name, speech.synthesizers) for name in flow.speech.synthesizer]
        for key, name, known in engines:
            if engine_named(speech, name, known) is None:
                yield SettingMistake(
                    f"flow[{flow.id}].speech.{key}",
                    f"There is no {key} '{name}' here.",
                    f"Here are: {', '.join(known)}. Set a section [speech.…] for it, or map it in [speech.aliases].",
                )
    here = tuple(dict.fromkeys((*speech.transcribers, *speech.synthesizers)))
    for name, stand_ins in speech.aliases.items():
        for engine in stand_ins:
            if engine_named(speech, engine, here) is None:
                yield SettingMistake(
                    f"speech.aliases.{name}", f"There is no engine '{engine}' here.", f"Here are: {', '.join(here)}."
                )


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
