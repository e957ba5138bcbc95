"""Speech engines by name: what an app or a flow asks for, and which engine that is here (contract D9, section 7)."""

from collections.abc import Mapping
from typing import Final

from offhook.protocol.speech_options import TranscriptionProvider, same_name
from offhook.service.speech_settings import Speech

STAND_INS: Final[Mapping[str, tuple[str, ...]]] = {
    TranscriptionProvider.SIPGATE_QWEN: ("qwen",),
    TranscriptionProvider.SIPGATE_PARAKEET: ("parakeet",),
}
"""Names of the public service, and which engines stand in for them where these are set and no alias says otherwise."""


def aliases(speech: Speech) -> dict[str, tuple[str, ...]]:
    """Every name that stands for engines, with these; the operator's own (`[speech.aliases]`) before STAND_INS."""
    own = {same_name(alias) for alias in speech.aliases}
    here = {same_name(name) for name in (*speech.transcribers, *speech.synthesizers)}
    given = {name: engines for name, engines in STAND_INS.items() if same_name(name) not in own}
    kept = {name: tuple(e for e in engines if same_name(e) in here) for name, engines in given.items()}
    return {name: engines for name, engines in kept.items() if engines} | dict(speech.aliases)


def engine_named(speech: Speech, name: str, known: tuple[str, ...]) -> str | None:
    """The engine among `known` that `name` stands for, by an alias or directly; None when there is none."""
    stand_ins = {same_name(alias): engines for alias, engines in aliases(speech).items()}
    by_name = {same_name(engine): engine for engine in known}
    wanted = stand_ins.get(same_name(name), (name,))
    return next((by_name[same_name(engine)] for engine in wanted if same_name(engine) in by_name), None)
