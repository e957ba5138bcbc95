"""One action, judged field by field: by the forgiving reader (what would happen) and the strict model (what is meant).

What the reader refuses never runs; what it mends runs otherwise than it was written; what only the strict model minds
is read all the same by Offhook, and perhaps by nobody else.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from offhook.protocol.json_codec import build_action, read_actions
from offhook.protocol.mistakes import Mistake, MistakesFound, shown
from offhook.protocol.speech_options import TtsProvider, synthesizer_name
from offhook.testing.conformance import rule_book
from offhook.testing.conformance.finding import Complaint
from offhook.testing.conformance.rule_book import Rule
from offhook.testing.conformance.wav_judge import wav_complaints

JsonObject = dict[str, Any]

_REFUSALS: Final[dict[str, Rule]] = {
    "no_wav": rule_book.REAL_WAV,
    "no_phone_number": rule_book.PHONE_NUMBER,
    "text_or_ssml": rule_book.SOMETHING_TO_SAY,
}
_NOTES: Final[dict[str, Rule]] = {
    "text_dropped": rule_book.ONE_OF_BOTH,
    "clamped": rule_book.IN_RANGE,
    "no_strategy": rule_book.KNOWN_STRATEGY,
    "timeout_not_armed": rule_book.TIMEOUT_ARMED,
    "vad_default": rule_book.VALID_VAD,
    "no_language": rule_book.LANGUAGE_TAG,
    "unknown_provider": rule_book.KNOWN_EAR,
    "too_many": rule_book.LISTS_FIT,
    "vocabulary_cut": rule_book.LISTS_FIT,
    "no_url": rule_book.PROMPT_ADDRESS,
}
_AZURE_VOICE: Final = re.compile(r"([a-z]{2,3}-[A-Za-z]{2,4}(?:-[A-Za-z]+)?)-[A-Za-z0-9]+(?::?\w+)?Neural\w*")
_CONFIGURES: Final = ("provider", "languages", "custom_vocabulary", "vad")


def name_of(field: str, at: str) -> str:
    """The place of a field: `[1].text`, or `text` where the action stands alone."""
    return f"{at}.{field}" if at else field


def complaints_about(item: JsonObject, session_id: str, at: str) -> Iterator[Complaint]:
    """Everything that is wrong with this action, its session aside. `item` has a known `type`; `at` is its place."""
    own = {**item, "session_id": session_id}
    read = read_actions(json.dumps(own), session_id)
    spoken_of: set[str] = set()
    for refused in read.refused:
        rule = _REFUSALS.get(refused.code, rule_book.VALID_ACTION)
        spoken_of.add(_top(refused.path))
        path = name_of(refused.path, at) if refused.path else at
        yield Complaint(rule, f"The {item['type']} would be dropped. {refused.message}", path, refused.remedy)
    for note in read.notes:
        spoken_of.add(_top(note.path))
        rule = _NOTES.get(note.code, rule_book.RIGHT_KIND)
        yield Complaint(rule, note.message, name_of(note.path, at), note.remedy)
    if not read.refused:
        for mistake in _strict_mistakes(item, session_id):
            if mistake.code == "unknown_field" or _top(mistake.path) not in spoken_of:
                yield Complaint(_rule_for(mistake), mistake.message, name_of(mistake.path, at), mistake.remedy)
    for complaint in _by_type(item):
        yield Complaint(complaint.rule, complaint.what, name_of(complaint.path, at), complaint.remedy)


def _top(path: str) -> str:
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def _rule_for(mistake: Mistake) -> Rule:
    if mistake.code == "unknown_field":
        return rule_book.KNOWN_FIELDS
    return rule_book.IN_RANGE if mistake.code == "out_of_range" else rule_book.RIGHT_KIND


def _strict_mistakes(item: JsonObject, session_id: str) -> tuple[Mistake, ...]:
    """What the strict model minds, documented aliases (D9), absent caller ids (D15) and nulls aside."""
    plain = _without_nulls(item)
    plain["session_id"] = session_id
    if plain["type"] == "speak":
        provider = plain.pop("provider", None)
        plain.setdefault("tts", provider)
        tts = plain["tts"]
        if isinstance(tts, dict) and isinstance(tts.get("voice"), dict):
            tts["voice"] = "named by an object"
        if "text" in plain and "ssml" in plain:
            del plain["text"]
    if plain["type"] == "transfer":
        target = plain.pop("transfer_to", None)
        plain.setdefault("target_phone_number", target)
        plain.setdefault("caller_id_name", "")
        plain.setdefault("caller_id_number", "")
    if plain["type"] == "mix_audio" and plain.get("stop"):
        plain.pop("audio", None)
    if isinstance(plain.get("audio"), str):
        plain["audio"] = "UklGRgAAAABXQVZF"  # large, and judged by the reader
    try:
        build_action(_without_nulls(plain))
    except MistakesFound as found:
        return found.mistakes
    return ()


def _without_nulls(value: JsonObject) -> JsonObject:
    return {
        key: _without_nulls(inner) if isinstance(inner, dict) else inner
        for key, inner in value.items()
        if inner is not None
    }


def _by_type(item: JsonObject) -> Iterator[Complaint]:
    match item["type"]:
        case "speak":
            yield from _speak(item)
        case "audio" | "mix_audio" if isinstance(item.get("audio"), str):
            yield from wav_complaints(item["audio"])
        case "transfer":
            yield from _transfer(item)
        case "configure_transcription" if not any(item.get(name) is not None for name in _CONFIGURES):
            yield Complaint(rule_book.CONFIGURES_SOMETHING, "It has no field that says anything.")


def _speak(item: JsonObject) -> Iterator[Complaint]:
    text, ssml = item.get("text"), item.get("ssml")
    if isinstance(ssml, str) and ssml.strip():
        if trouble := _xml_trouble(ssml):
            yield Complaint(rule_book.WELL_FORMED_SSML, f"{shown(ssml)} is not well-formed: {trouble}.", "ssml")
    elif isinstance(text, str) and not text.strip():
        yield Complaint(rule_book.NOT_EMPTY, "The text is empty.", "text")
    elif isinstance(text, str) and text.lstrip()[:7].lower() in {"<speak>", "<speak "}:
        yield Complaint(rule_book.SSML_AS_SSML, f"{shown(text)} is SSML.", "text")
    name = "tts" if item.get("tts") is not None else "provider"
    tts = item.get(name)
    if isinstance(tts, dict) and isinstance(tts.get("provider"), str) and tts["provider"].strip():
        yield from _voice(tts, name)


def _voice(tts: JsonObject, name: str) -> Iterator[Complaint]:
    provider = synthesizer_name(tts["provider"])
    if provider not in set(TtsProvider):
        yield Complaint(rule_book.KNOWN_VOICE_ENGINE, f"{shown(tts['provider'])} is neither.", f"{name}.provider")
    voice = tts.get("voice")
    if provider != TtsProvider.AZURE or not isinstance(voice, str):
        return
    named = _AZURE_VOICE.fullmatch(voice)
    language = tts.get("language")
    if named is None:
        yield Complaint(rule_book.VOICE_NAME, f"{shown(voice)} is no Azure voice's name.", f"{name}.voice")
    elif isinstance(language, str) and language.lower()[:2] != named[1].lower()[:2] and "Multilingual" not in voice:
        yield Complaint(rule_book.VOICE_NAME, f"{shown(voice)} does not speak {shown(language)}.", f"{name}.voice")


def _xml_trouble(ssml: str) -> str | None:
    """Why an XML parser refuses it; None when it does not. A fragment is wrapped, as the service does (D10)."""
    document = ssml.strip()
    if not re.match(r"(<\?xml[^>]*\?>\s*)?(<!--.*?-->\s*)*<speak\b", document, re.DOTALL | re.IGNORECASE):
        document = f"<speak>{document}</speak>"
    # Vendors' own elements are named with prefixes that documents do not always declare (`mstts:express-as`).
    undeclared = {
        prefix
        for prefix in re.findall(r"</?([A-Za-z][\w-]*):", document)
        if f"xmlns:{prefix}=" not in document and prefix != "xml"
    }
    if undeclared:
        declared = "".join(f' xmlns:{escape(prefix)}="urn:{escape(prefix)}"' for prefix in sorted(undeclared))
        document = re.sub(r"<speak\b", f"<speak{declared}", document, count=1, flags=re.IGNORECASE)
    if "<!DOCTYPE" in document or "<!ENTITY" in document:
        return "it has a document type, which engines refuse"
    try:
        ET.fromstring(document)  # noqa: S314 - no document type, so no entities
    except ET.ParseError as error:
        return str(error)
    return None


def _transfer(item: JsonObject) -> Iterator[Complaint]:
    missing = [name for name in ("caller_id_name", "caller_id_number") if item.get(name) is None]
    if missing:
        yield Complaint(rule_book.CALLER_ID, f"{' and '.join(missing)} {'are' if missing[1:] else 'is'} missing.")
    named = "target_phone_number" if item.get("target_phone_number") is not None else "transfer_to"
    for field in (named, "caller_id_number"):
        number = item.get(field)
        if isinstance(number, str) and re.fullmatch(r"\+?[\d\s()/.\-]{5,}", number):
            national = re.match(r"0(?!0)", number) is not None
            if national or re.search(r"[\s()/.\-]", number):
                what = "is in national form" if national else "has separators"
                yield Complaint(rule_book.E164, f"{shown(number)} {what}.", field)
