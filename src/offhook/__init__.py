"""Offhook: software that answers the telephone. These are the SDK's public names, by hand; nothing else.

```python
from offhook import Assistant, Hangup, Speak
```

Names are loaded when they are first used: `import offhook` costs nothing, and the parts of the service that need no SDK
do not load it. `offhook.__version__` is that of the installed package.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from offhook.errors import OffhookError
    from offhook.protocol.actions import (
        Action,
        Audio,
        BargeIn,
        ConfigureTranscription,
        Dtmf,
        GatherDtmf,
        Hangup,
        MixAudio,
        Speak,
        Transfer,
    )
    from offhook.protocol.events import (
        AssistantSpeak,
        AssistantSpeechEnded,
        DtmfReceived,
        Event,
        RecognisedWord,
        SessionEnd,
        SessionStart,
        UserInputTimeout,
        UserSpeak,
        UserSpeechStarted,
    )
    from offhook.protocol.json_codec import EventInvalid, EventTypeUnknown, build_action, event_to_json, read_event
    from offhook.protocol.mistakes import Mistake, MistakesFound
    from offhook.protocol.session import Session
    from offhook.protocol.speech_options import (
        BargeInConfig,
        BargeInStrategy,
        TranscriptionProvider,
        TtsConfig,
        TtsProvider,
        VadConfig,
    )
    from offhook.protocol.type_names import ActionType, EventType
    from offhook.sdk.assistant import AiFlowAssistant, Assistant
    from offhook.sdk.handlers import HandlerFailed
    from offhook.sdk.http_answer import HttpAnswer
    from offhook.sdk.redis_states import RedisStates
    from offhook.sdk.replies import Reply
    from offhook.sdk.scripted_model import ScriptedModel
    from offhook.sdk.service_actions import CallRefused
    from offhook.sdk.speech_stream import stream_sentences

__all__ = [
    "Action",
    "ActionType",
    "AiFlowAssistant",
    "Assistant",
    "AssistantSpeak",
    "AssistantSpeechEnded",
    "Audio",
    "BargeIn",
    "BargeInConfig",
    "BargeInStrategy",
    "CallRefused",
    "ConfigureTranscription",
    "Dtmf",
    "DtmfReceived",
    "Event",
    "EventInvalid",
    "EventType",
    "EventTypeUnknown",
    "GatherDtmf",
    "HandlerFailed",
    "Hangup",
    "HttpAnswer",
    "Mistake",
    "MistakesFound",
    "MixAudio",
    "OffhookError",
    "RecognisedWord",
    "RedisStates",
    "Reply",
    "ScriptedModel",
    "Session",
    "SessionEnd",
    "SessionStart",
    "Speak",
    "TranscriptionProvider",
    "Transfer",
    "TtsConfig",
    "TtsProvider",
    "UserInputTimeout",
    "UserSpeak",
    "UserSpeechStarted",
    "VadConfig",
    "build_action",
    "event_to_json",
    "read_event",
    "stream_sentences",
]

_HOMES = {
    "offhook.errors": "OffhookError",
    "offhook.protocol.actions": (
        "Action Audio BargeIn ConfigureTranscription Dtmf GatherDtmf Hangup MixAudio Speak Transfer"
    ),
    "offhook.protocol.events": (
        "AssistantSpeak AssistantSpeechEnded DtmfReceived Event RecognisedWord SessionEnd SessionStart "
        "UserInputTimeout UserSpeak UserSpeechStarted"
    ),
    "offhook.protocol.json_codec": "EventInvalid EventTypeUnknown build_action event_to_json read_event",
    "offhook.protocol.mistakes": "Mistake MistakesFound",
    "offhook.protocol.session": "Session",
    "offhook.protocol.speech_options": (
        "BargeInConfig BargeInStrategy TranscriptionProvider TtsConfig TtsProvider VadConfig"
    ),
    "offhook.protocol.type_names": "ActionType EventType",
    "offhook.sdk.assistant": "AiFlowAssistant Assistant",
    "offhook.sdk.handlers": "HandlerFailed",
    "offhook.sdk.http_answer": "HttpAnswer",
    "offhook.sdk.redis_states": "RedisStates",
    "offhook.sdk.replies": "Reply",
    "offhook.sdk.scripted_model": "ScriptedModel",
    "offhook.sdk.service_actions": "CallRefused",
    "offhook.sdk.speech_stream": "stream_sentences",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOME_OF:
        raise AttributeError(f"module 'offhook' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def _version() -> str:
    metadata = import_module("importlib.metadata")
    try:
        return str(metadata.version("offhook"))
    except metadata.PackageNotFoundError:
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
