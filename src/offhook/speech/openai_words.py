"""What servers of OpenAI's protocol answer about a recording: `json`, `verbose_json`, and their dialects."""

import math
import re
from dataclasses import dataclass
from typing import Any, Final

from offhook.protocol.speech_options import is_language
from offhook.speech.transcriber import TimedWord

QWEN: Final = re.compile(r"\s*(?:language\s+(?P<language>[^<]*))?<asr_text>(?P<text>.*)", re.DOTALL)
"""Qwen3-ASR's own output, which some servers hand on as it is: "language German<asr_text>Guten Tag"."""
NO_SPEECH: Final = 0.6
UNSURE: Final = -1.0
"""Whisper's own rule for a segment in which nobody speaks: both, `no_speech_prob` above and `avg_logprob` below."""

_WHISPERS: Final = (
    "english:en chinese:zh german:de spanish:es russian:ru korean:ko french:fr japanese:ja portuguese:pt turkish:tr "
    "polish:pl catalan:ca dutch:nl arabic:ar swedish:sv italian:it indonesian:id hindi:hi finnish:fi vietnamese:vi "
    "hebrew:he ukrainian:uk greek:el malay:ms czech:cs romanian:ro danish:da hungarian:hu tamil:ta norwegian:no "
    "thai:th urdu:ur croatian:hr bulgarian:bg lithuanian:lt latin:la maori:mi malayalam:ml welsh:cy slovak:sk "
    "telugu:te persian:fa latvian:lv bengali:bn serbian:sr azerbaijani:az slovenian:sl kannada:kn estonian:et "
    "macedonian:mk breton:br basque:eu icelandic:is armenian:hy nepali:ne mongolian:mn bosnian:bs kazakh:kk "
    "albanian:sq swahili:sw galician:gl marathi:mr punjabi:pa sinhala:si khmer:km shona:sn yoruba:yo somali:so "
    "afrikaans:af occitan:oc georgian:ka belarusian:be tajik:tg sindhi:sd gujarati:gu amharic:am yiddish:yi lao:lo "
    "uzbek:uz faroese:fo pashto:ps turkmen:tk nynorsk:nn maltese:mt sanskrit:sa luxembourgish:lb myanmar:my "
    "tibetan:bo tagalog:tl malagasy:mg assamese:as tatar:tt hawaiian:haw lingala:ln hausa:ha bashkir:ba "
    "javanese:jv sundanese:su cantonese:yue filipino:fil"
)
_NAMED: Final = dict(pair.split(":") for pair in _WHISPERS.split())
"""The languages of Whisper, whose answers name them in English."""


@dataclass(frozen=True, slots=True)
class Transcription:
    """The words of a recording."""

    text: str
    language: str | None = None
    confidence: float | None = None
    words: tuple[TimedWord, ...] = ()


def transcription_in(answer: Any) -> Transcription:
    """The words in an answer. Raises ValueError, KeyError or TypeError when it is none."""
    text, language = answer["text"], answer.get("language")
    if not isinstance(text, str):
        raise TypeError("text that is no text")
    if (own := QWEN.fullmatch(text)) is not None:
        text, language = own["text"], own["language"] or language
    segments = answer.get("segments") or []
    spoken = [segment for segment in segments if not _is_silent(segment)]
    if len(spoken) < len(segments):
        text = "".join(segment["text"] for segment in spoken)
    words = tuple(
        TimedWord(word["word"].strip(), round(word["start"] * 1000), round(word["end"] * 1000), _probability(word))
        for word in answer.get("words") or ()
        if spoken or not segments
    )
    if not language and answer.get("languages"):
        language = answer["languages"][0]["code"]
    return Transcription(" ".join(text.split()), language_named(language), _confidence(spoken), words)


def language_named(language: str | None) -> str | None:
    """A language as BCP-47, from its code or its English name; None for what is neither."""
    if not language:
        return None
    name = language.strip().lower()
    return _NAMED.get(name) or (language.strip() if len(name) <= 8 and is_language(name) else None)


def _is_silent(segment: dict[str, Any]) -> bool:
    return bool(segment.get("no_speech_prob", 0) > NO_SPEECH and segment.get("avg_logprob", 0) < UNSURE)


def _probability(word: dict[str, Any]) -> float | None:
    probability = word.get("probability")
    return None if probability is None else float(probability)


def _confidence(segments: list[dict[str, Any]]) -> float | None:
    sure = [
        (segment["avg_logprob"], segment["end"] - segment["start"]) for segment in segments if "avg_logprob" in segment
    ]
    seconds = sum(length for _, length in sure)
    return round(math.exp(min(0.0, sum(p * length for p, length in sure) / seconds)), 3) if seconds > 0 else None
