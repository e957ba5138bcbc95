"""Speech engines by name: what an app or a flow asks for, and which engine that is here (contract D9, section 7)."""

from offhook.protocol.speech_options import same_name
from offhook.service.settings import Speech


def engine_named(speech: Speech, name: str, known: tuple[str, ...]) -> str | None:
    """The engine among `known` that `name` stands for, by an alias or directly; None when there is none."""
    aliases = {same_name(alias): engines for alias, engines in speech.aliases.items()}
    by_name = {same_name(engine): engine for engine in known}
    wanted = aliases.get(same_name(name), (name,))
    return next((by_name[same_name(engine)] for engine in wanted if same_name(engine) in by_name), None)
