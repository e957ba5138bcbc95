"""One action of a real app, mended where the contract says how, else refused with a reason (contract D9 to D18, D23).

Every method takes what may be there and gives what the strict model accepts; what it changed becomes a note. The
result is always a value of the classes in `actions.py`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from pydantic import ValidationError

from offhook.protocol.actions import ACTION_TYPES, Action, is_web_address
from offhook.protocol.events import EVENT_TYPES
from offhook.protocol.forgiving_fields import FieldReader, JsonObject, Note, as_number, clean
from offhook.protocol.mistakes import Mistake, mistakes_of, shown
from offhook.protocol.phone_numbers import normalized
from offhook.protocol.speech_options import (
    ALLOW_AFTER_MS_RANGE,
    END_OF_TURN_SILENCE_MS_RANGE,
    MINIMUM_CHARACTERS_RANGE,
    BargeInStrategy,
    TranscriptionProvider,
    is_language,
    same_name,
    synthesizer_name,
    transcriber_name,
)
from offhook.protocol.wav_text import tidied

MOST_LANGUAGES: Final = 4
MOST_PHRASES: Final = 100
LONGEST_PHRASE: Final = 200
TRANSFER_TIMEOUT_RANGE: Final = (5, 120)
APP_ERROR: Final = "the app reports: "
"""How the note of an `{"error": "…"}` begins (D28)."""
APP_ERROR_SHOWN: Final = 500


@dataclass(frozen=True, slots=True)
class RefusedAction:
    """An action that was dropped alone, and why (D17): `code` is stable, `path` names the place in the answer
    (`[1].text`), `remedy` says what the app's developer can do."""

    code: str
    path: str
    message: str
    remedy: str


@dataclass(slots=True)
class ForgivingReader:
    """Reads the objects of one answer, one after the other; what it mended is in `fields.notes`."""

    session_id: str
    default_country: str | None
    transcribers: Collection[str]
    fields: FieldReader = field(default_factory=FieldReader)

    def read(self, item: JsonObject, at: str) -> Action | RefusedAction:
        """One object with a known `type`: the action, or the reason why not. `at`: its place, `[1]` or empty."""
        self.fields.at = at
        kind = str(item["type"])
        given = item.get("session_id")
        if given is not None and not self._is_ours(given):
            remedy = f"Send session_id {self.session_id!r} (event.session.id), or leave it out."
            message = f"The action is for another session: {shown(given)}."
            return RefusedAction("wrong_session", self.fields.path("session_id"), message, remedy)
        mended = {"type": kind, "session_id": self.session_id, **_READERS[kind](self, item)}
        model = ACTION_TYPES[kind]
        try:
            return model.model_validate(mended)
        except ValidationError as error:
            return self._refusal(mistakes_of(error, model))

    def pass_over(self, item: object, at: str) -> None:
        """Something that is no action (D24, D28): a note, and nothing else."""
        kind = item.get("type") if isinstance(item, dict) else None
        if isinstance(kind, str) and kind in EVENT_TYPES:
            self.fields.notes.append(
                Note("event_echoed", at, f"The event {kind!r} came back.", "Answer with actions, or 204.")
            )
        elif isinstance(kind, str):
            self.fields.notes.append(
                Note(
                    "unknown_type", f"{at}.type".lstrip("."), f"No action is called {shown(kind)}.", nearest_type(kind)
                )
            )
        elif isinstance(item, dict) and isinstance(item.get("error"), str):
            self.fields.notes.append(Note("no_action", at, f"{APP_ERROR}{item['error'][:APP_ERROR_SHOWN]}", ""))
        else:
            self.fields.notes.append(
                Note("no_action", at, f"{shown(item)} is no action.", "Answer with actions, or 204.")
            )

    # --- one action each

    def speak(self, item: JsonObject) -> JsonObject:
        text, ssml = self.fields.words(item, "text"), self.fields.words(item, "ssml")
        if text is not None and ssml is not None:
            if ssml.strip():
                self.fields.note(
                    "text_dropped", "text", "Both text and ssml are given: ssml is spoken.", "Give one of them."
                )
                text = None
            else:
                ssml = None
        return {
            "text": text,
            "ssml": ssml,
            "tts": self._tts(item),
            "barge_in": self._barge_in(item),
            "user_input_timeout_seconds": self._input_timeout(item),
            "vad": self._vad(item),
        }

    def audio(self, item: JsonObject) -> JsonObject:
        return {"audio": self._wav(item), "barge_in": self._barge_in(item)}

    def mix_audio(self, item: JsonObject) -> JsonObject:
        stop = self.fields.flag(item, "stop")
        volume = self.fields.number(item, "volume", 0.5)
        clamped = self.fields.clamped("volume", volume, 0.0, 1.0)
        return {"stop": stop, "audio": None if stop else self._wav(item), "volume": clamped}

    def nothing_more(self, item: JsonObject) -> JsonObject:
        return {}

    def transfer(self, item: JsonObject) -> JsonObject:
        target = item.get("target_phone_number")
        if target is None:
            target = item.get("transfer_to")
        mended: JsonObject = {
            "caller_id_name": self.fields.words(item, "caller_id_name") or "",
            "caller_id_number": self._dialled(item.get("caller_id_number")) or "",
            "timeout": self._transfer_timeout(item),
        }
        if target is not None:
            mended["target_phone_number"] = self._dialled(target)
        return mended

    def configure_transcription(self, item: JsonObject) -> JsonObject:
        return {
            "provider": self._transcriber(item),
            "languages": self._languages(item),
            "custom_vocabulary": self._vocabulary(item),
            "vad": self._vad(item),
        }

    def dtmf(self, item: JsonObject) -> JsonObject:
        value = item.get("dtmf")
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, str):
            value = value.strip()
        return {} if value is None else {"dtmf": value}

    def gather_dtmf(self, item: JsonObject) -> JsonObject:
        url = (self.fields.words(item, "audio_url") or "").strip()
        if url and not is_web_address(url):
            self.fields.note(
                "no_url", "audio_url", f"{shown(url)} is no web address: no prompt.", "Send an https:// address."
            )
            url = ""
        return {
            "allowed_gathered_characters": self.fields.keys(item, "allowed_gathered_characters", "0123456789")
            or "0123456789",
            "audio_url": url or None,
            "finish_on_key": self.fields.keys(item, "finish_on_key", "#")[:1],
            "num_characters": self.fields.count(item, "num_characters", 1, 1000),
            "timeout_ms": self.fields.count(item, "timeout_ms", 5000, 600_000),
        }

    # --- one field each

    def _tts(self, item: JsonObject) -> JsonObject | None:
        name = "tts" if item.get("tts") is not None else "provider"
        value = item.get(name)
        if isinstance(value, str):
            self.fields.note(
                "tts_as_text", name, "A name alone is read as the provider.", f'Send {{"provider": {shown(value)}}}.'
            )
            value = {"provider": value}
        if not isinstance(value, dict):
            if value is not None:
                self.fields.note(
                    "no_tts", name, f"{shown(value)} is no voice: the flow's own speaks.", "Send an object."
                )
            return None
        voice = value.get("voice")
        if isinstance(voice, dict):
            voice = voice.get("id") or voice.get("voice_id") or voice.get("name")
        language = value.get("language")
        if language is not None and not (isinstance(language, str) and is_language(language.strip())):
            self.fields.note(
                "no_language",
                f"{name}.language",
                f"{shown(language)} is no BCP-47 tag.",
                "Send a tag such as 'en-US'.",
            )
            language = None
        provider = value.get("provider")
        known = isinstance(provider, str) and len(same_name(provider)) <= 64 and same_name(provider).isalnum()
        if not known and provider not in (None, ""):
            self.fields.note(
                "no_provider",
                f"{name}.provider",
                f"{shown(provider)} names no engine: the flow's own speaks.",
                "Send the name of an engine, such as 'azure' or 'espeak', or none for the flow's own.",
            )
        return {
            "provider": synthesizer_name(_ascii(str(provider))) if known else "",
            "language": language.strip() if isinstance(language, str) else None,
            "voice": (clean(voice).strip() or None) if isinstance(voice, str) else None,
        }

    def _barge_in(self, item: JsonObject) -> JsonObject | None:
        value = item.get("barge_in")
        if value is None:
            return None
        if isinstance(value, str):
            value = {"strategy": value}
        if not isinstance(value, dict):
            self.fields.note(
                "no_barge_in", "barge_in", f"{shown(value)} is no config: the default holds.", "Send an object."
            )
            return {}
        strategy = value.get("strategy")
        named = strategy.strip().lower().replace("-", "_") if isinstance(strategy, str) else ""
        if named not in set(BargeInStrategy):
            named = BargeInStrategy.MINIMUM_CHARACTERS
            known = ", ".join(BargeInStrategy)
            self.fields.note(
                "no_strategy",
                "barge_in.strategy",
                f"{shown(strategy)} is no strategy: the default holds.",
                f"Use one of: {known}.",
            )
        return {
            "strategy": named,
            "minimum_characters": self.fields.whole(
                value, "barge_in", "minimum_characters", 3, MINIMUM_CHARACTERS_RANGE
            ),
            "allow_after_ms": self.fields.whole(value, "barge_in", "allow_after_ms", 0, ALLOW_AFTER_MS_RANGE),
        }

    def _input_timeout(self, item: JsonObject) -> float | None:
        value = item.get("user_input_timeout_seconds")
        if value is None:
            return None
        seconds = as_number(value)
        if seconds is None or seconds <= 0:
            self.fields.note(
                "timeout_not_armed",
                "user_input_timeout_seconds",
                f"{shown(value)} arms no timeout.",
                "Send a number above 0.",
            )
            return None
        return seconds

    def _vad(self, item: JsonObject) -> JsonObject | None:
        value = item.get("vad")
        if value is None:
            return None
        silence = value.get("end_of_turn_silence_ms") if isinstance(value, dict) else value
        low, high = END_OF_TURN_SILENCE_MS_RANGE
        number = None if isinstance(silence, str) else as_number(silence)
        if isinstance(value, dict) and number is not None and number == int(number) and low <= number <= high:
            return {"end_of_turn_silence_ms": int(number)}
        self.fields.note(
            "vad_default", "vad.end_of_turn_silence_ms", f"{shown(silence)} cannot be used: the default holds.",
            f"Send a whole number from {low} to {high}.",
        )  # fmt: skip
        return {}

    def _wav(self, item: JsonObject) -> str | None:
        value = item.get("audio")
        return tidied(value) if isinstance(value, str) else value

    def _transfer_timeout(self, item: JsonObject) -> int | None:
        value = item.get("timeout")
        if value is None:
            return None
        seconds = as_number(value)
        if seconds is None:
            self.fields.note(
                "no_number",
                "timeout",
                f"{shown(value)} is no number: the caller does not come back.",
                "Send seconds from 5 to 120.",
            )
            return None
        return round(self.fields.clamped("timeout", seconds, *TRANSFER_TIMEOUT_RANGE))

    def _transcriber(self, item: JsonObject) -> str | None:
        value = item.get("provider")
        if value is None:
            return None
        if isinstance(value, str):
            wanted = same_name(value)
            for known in (*TranscriptionProvider, *self.transcribers):
                if same_name(known) == wanted:
                    return transcriber_name(known)
        here = ", ".join(sorted(self.transcribers))
        public = ", ".join(TranscriptionProvider)
        self.fields.note(
            "unknown_provider",
            "provider",
            f"{shown(value)} is unknown: the present one is kept.",
            f"Here are: {here}. {public} are known, too: the flow's own ear where they are not set up.",
        )
        return None

    def _languages(self, item: JsonObject) -> list[str] | None:
        value = item.get("languages")
        if value is None:
            return None
        wanted = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        kept = [tag.strip() for tag in wanted if isinstance(tag, str) and is_language(tag.strip())]
        if len(kept) < len(wanted) or not isinstance(value, str | list):
            self.fields.note(
                "no_language",
                "languages",
                "What is no BCP-47 tag is dropped.",
                "Send a list such as ['en-US', 'de-DE'].",
            )
            if not kept:
                return None
        if len(kept) > MOST_LANGUAGES:
            self.fields.note(
                "too_many", "languages", f"Only the first {MOST_LANGUAGES} languages are used.", "Send fewer."
            )
        return kept[:MOST_LANGUAGES]

    def _vocabulary(self, item: JsonObject) -> list[str] | None:
        value = item.get("custom_vocabulary")
        if value is None:
            return None
        wanted = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        cleaned = [clean(phrase).strip() for phrase in wanted if isinstance(phrase, str)]
        kept = [phrase for phrase in cleaned if 0 < len(phrase) <= LONGEST_PHRASE][:MOST_PHRASES]
        if len(kept) < len(wanted) or not isinstance(value, str | list):
            self.fields.note(
                "vocabulary_cut", "custom_vocabulary", f"Only {len(kept)} phrases are used.",
                f"Send a list of at most {MOST_PHRASES} texts of at most {LONGEST_PHRASE} characters.",
            )  # fmt: skip
        return kept if isinstance(value, str | list) else None

    def _dialled(self, value: object) -> object:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return normalized(clean(value), self.default_country) if isinstance(value, str) else value

    def _is_ours(self, given: object) -> bool:
        return isinstance(given, str) and given.strip().lower() in {"", self.session_id.lower()}

    def _refusal(self, mistakes: tuple[Mistake, ...]) -> RefusedAction:
        """One refusal for one action; with several mistakes the path is the action's own and the message names all."""
        first, *more = mistakes
        if not more:
            return RefusedAction(first.code, self.fields.path(first.path), first.message, first.remedy)
        message = " ".join(f"{found.path}: {found.message}" for found in mistakes)
        remedies = dict.fromkeys(found.remedy for found in mistakes)
        return RefusedAction(first.code, self.fields.at, message, " ".join(remedies))


_READERS: Final[dict[str, Callable[[ForgivingReader, JsonObject], JsonObject]]] = {
    "speak": ForgivingReader.speak,
    "audio": ForgivingReader.audio,
    "mix_audio": ForgivingReader.mix_audio,
    "hangup": ForgivingReader.nothing_more,
    "transfer": ForgivingReader.transfer,
    "barge_in": ForgivingReader.nothing_more,
    "configure_transcription": ForgivingReader.configure_transcription,
    "dtmf": ForgivingReader.dtmf,
    "gather_dtmf": ForgivingReader.gather_dtmf,
}


def nearest_type(kind: str) -> str:
    """The remedy for an unknown action type."""
    near = get_close_matches(kind.strip().lower().replace("-", "_"), ACTION_TYPES, n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else f"Use one of: {', '.join(ACTION_TYPES)}."


def _ascii(text: str) -> str:
    return text.strip().replace(" ", "_").replace("-", "_")
