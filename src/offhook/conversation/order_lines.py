"""Orders as words: what stands behind `>` in a transcript."""

import json
from typing import assert_never

from offhook.conversation.fact_lines import format_fact, quoted
from offhook.conversation.outputs import (
    AnswerCall,
    ConfigureRecognition,
    Dropped,
    FinishRecognition,
    HangUp,
    Ignored,
    Output,
    PauseLoop,
    PlayAudio,
    PlayUrl,
    PrepareSpeech,
    ResumeLoop,
    Say,
    SendDigit,
    SendEvent,
    StartLoop,
    StartRecognition,
    StartTransfer,
    StopLoop,
    StopOnVoice,
    StopPlayback,
    SwitchApp,
)
from offhook.protocol.events import Event
from offhook.protocol.speech_options import TtsConfig


def format_order(order: Output) -> str:
    """The order in words."""
    match order:
        case AnswerCall():
            return "answer"
        case SendEvent(number, event):
            return f"event {number} {_event(event)}"
        case PrepareSpeech(utterance, text, ssml, tts):
            return f"prepare #{utterance} {_speech(text, ssml, tts)}"
        case Say(utterance, text, ssml, tts):
            return f"say #{utterance} {_speech(text, ssml, tts)}"
        case PlayAudio(utterance, audio):
            return f"play #{utterance} {_audio(audio)}"
        case PlayUrl(utterance, url):
            return f"play #{utterance} from {url}"
        case StopPlayback(utterance):
            return f"stop #{utterance}"
        case StopOnVoice(utterance, not_before_ms):
            return f"stop #{utterance} on voice" + (f" after {not_before_ms} ms" if not_before_ms else "")
        case StartLoop(audio, volume):
            return f"loop {_audio(audio)} at {volume:g}"
        case StopLoop():
            return "stop the loop"
        case PauseLoop():
            return "rest the loop"
        case ResumeLoop():
            return "resume the loop"
        case StartRecognition(turn):
            return f"listen to turn {turn}"
        case FinishRecognition(turn):
            return f"finish turn {turn}"
        case ConfigureRecognition():
            return _recognition(order)
        case SendDigit(digit):
            return f"send key {quoted(digit)}"
        case StartTransfer(target, name, number, seconds):
            limit = "for good" if seconds is None else f"within {seconds} s"
            return f"transfer to {target} as {quoted(name)} {number} {limit}"
        case SwitchApp(url):
            return f"switch to app {url}"
        case HangUp(cause):
            return f"hang up {quoted(cause)}"
        case Ignored(happened, state):
            return f"ignored in {state}: {format_fact(happened)}"
        case Dropped(code, path, remedy):
            return f"dropped {path} ({code}): {remedy}"
        case _:
            assert_never(order)


def _speech(text: str | None, ssml: str | None, tts: TtsConfig | None) -> str:
    said = quoted(text or "") if ssml is None else f"ssml {quoted(ssml)}"
    return said if tts is None else f"{said} by {json.dumps(tts.model_dump(mode='json', exclude_none=True))}"


def _audio(audio: str) -> str:
    return f"audio of {len(audio)} characters"


def _recognition(order: ConfigureRecognition) -> str:
    languages = ", ".join(order.languages) or "any language"
    words = "".join(f" {quoted(phrase)}" for phrase in order.custom_vocabulary)
    return f"recognise with {order.provider or 'the usual engine'} in {languages}" + (
        f" hearing{words}" if words else ""
    )


def _event(event: Event) -> str:
    """The event's type, its words in quotes, `barged_in`, and every other field that is set as `name=value`."""
    values = event.model_dump(mode="json", exclude_none=True, exclude={"session", "type"})
    told: list[str] = [event.type]
    if "text" in values:
        told.append(quoted(values.pop("text")))
    for name, value in values.items():
        match value:
            case True:
                told.append(name)
            case False:
                pass
            case _:
                told.append(f"{name}={json.dumps(value, ensure_ascii=False)}")
    return " ".join(told)
