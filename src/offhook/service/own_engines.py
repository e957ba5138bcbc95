"""The ears and voices of a settings file for a command that has no other use for the file: `offhook dev -c`, `call -c`.

Taken from it: `[speech]`, but for the folder of finished speech, and what one flow says of hearing and speaking. The
rest of the file is not looked at, nor are the variables for it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from offhook.errors import SettingsInvalid
from offhook.service.engine_names import engine_named
from offhook.service.setting_mistakes import DEFAULT_FILE
from offhook.service.settings import Flow, Settings
from offhook.service.settings_file import PREFIX, from_tree, tree_of
from offhook.service.speech_engines import ears_of, voices_of
from offhook.service.speech_settings import EMBEDDED_EAR, EMBEDDED_VOICE

OF_A_FLOW: Final = (
    "speech", "barge_in", "end_of_turn_silence_ms", "report_spoken_text", "report_language", "report_words",
)  # fmt: skip
_NO_APP: Final = "http://localhost/"
_EMBEDDED: Final = frozenset({EMBEDDED_EAR, EMBEDDED_VOICE})


def with_engines_of(
    settings: Settings, file: Path | None, flow_id: str | None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """These settings of one flow, with the ears and voices of `file` (None: as they are), and of its flow `flow_id`
    (None: its first). Raises SettingsInvalid, and SettingsMistaken for mistakes in what is taken."""
    if file is None:
        if flow_id is not None:
            raise SettingsInvalid("--flow names a flow of a file.", remedy="Give -c FILE too.")
        return settings
    tree = tree_of(file)
    taken: dict[str, Any] = {"speech": tree.get("speech", {})}
    if (written := _flow(tree, file, flow_id)) is not None:
        kept = {key: value for key, value in written.items() if key in OF_A_FLOW}
        taken["flow"] = [{"id": written.get("id", ""), "app": _NO_APP, **kept}]
    found = from_tree(taken, _about_engines(environment), source=str(file))
    update: dict[str, object] = {"speech": found.speech.model_copy(update={"cache_folder": None})}
    if found.flows:
        heard = {key: getattr(found.flows[0], key) for key in OF_A_FLOW}
        update["flows"] = tuple(flow.model_copy(update=heard) for flow in settings.flows)
    return settings.model_copy(update=update)


def _flow(tree: Mapping[str, Any], file: Path, flow_id: str | None) -> Mapping[str, Any] | None:
    flows = tree.get("flow", [])
    there = [flow for flow in flows if isinstance(flow, dict)] if isinstance(flows, list) else []
    if flow_id is None:
        return there[0] if there else None
    for flow in there:
        if flow.get("id") == flow_id:
            return flow
    raise SettingsInvalid(
        f"{file} has no flow '{flow_id}'.",
        remedy=f"It has: {', '.join(str(flow.get('id')) for flow in there) or 'none'}.",
    )


def _about_engines(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not _is_override(name) or _is_about_engines(name)}


def _is_override(name: str) -> bool:
    return name.startswith(PREFIX) and "__" in name


def _is_about_engines(name: str) -> bool:
    section, *place = name.removeprefix(PREFIX).lower().split("__")
    return section == "speech" or (section == "flow" and len(place) > 1 and place[1] in OF_A_FLOW)


def who_hears_and_speaks(flow: Flow, settings: Settings) -> str:
    """One line for people: the engines of this flow, in the order in which they are tried."""
    speech = settings.speech
    ears = [engine_named(speech, name, speech.transcribers) for name in ears_of(flow)]
    voices = [engine_named(speech, name, speech.synthesizers) for name in voices_of(flow)]
    return f"The ear: {_in_order(ears)}. The voice: {_in_order(voices)}."


def _in_order(names: list[str | None]) -> str:
    engines = dict.fromkeys(name for name in names if name is not None)
    return ", then ".join(f"{name} (embedded)" if name in _EMBEDDED else name for name in engines)


def not_used(file: Path | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """A hint where settings lie about that a command without `-c` takes no notice of; None: there are none."""
    if file is not None:
        return None
    variables = sorted(name for name in environment if _is_override(name) and _is_about_engines(name))
    idle = [DEFAULT_FILE] if Path(DEFAULT_FILE).exists() else []
    if not idle and not variables:
        return None
    idle += variables[:1] if len(variables) < 2 else [f"{variables[0]} and {len(variables) - 1} more variables"]
    return f"Not used here: {', '.join(idle)}. With -c {DEFAULT_FILE} its ears and voices are."
