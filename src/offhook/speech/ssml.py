"""SSML as apps write it: wrapped, read as plain text, or with its voices and languages named for another engine (D10).

Apps send fragments, unclosed tags and vendors' own elements, so nothing here parses XML strictly and nothing raises.
"""

import re
from collections.abc import Callable
from html import escape, unescape
from html.parser import HTMLParser
from typing import Final

_OPENS_DOCUMENT: Final = re.compile(r"\s*(<\?xml[^>]*\?>\s*|<!--.*?-->\s*)*<speak\b", re.DOTALL | re.IGNORECASE)
_PROLOGUE: Final = re.compile(r"\s*(<\?xml[^>]*\?>|<!--.*?-->|<!DOCTYPE[^>]*>)", re.DOTALL | re.IGNORECASE)
_EDGE: Final = r"(?:\s|<(?!break\b|audio\b|say-as\b|sub\b|phoneme\b)[^>]*>)*"
_LEADING_BREAKS: Final = re.compile(rf"{_EDGE}((?:<break\b[^>]*>(?:\s*</break>)?{_EDGE})+)", re.IGNORECASE)
_TRAILING_BREAK: Final = re.compile(rf"<break\b[^>]*>(?:\s*</break>)?{_EDGE}$", re.IGNORECASE)
_BREAK: Final = re.compile(r"<break\b([^>]*)>", re.IGNORECASE)
_TIME: Final = re.compile(r"\btime\s*=\s*[\"']?\s*\+?(\d+(?:\.\d+)?|\.\d+)\s*(ms|s)\b", re.IGNORECASE)
_STRENGTH: Final = re.compile(r"\bstrength\s*=\s*[\"']?\s*([a-z-]+)", re.IGNORECASE)
_VOICE: Final = re.compile(r"<voice\b([^>]*?)(/?)>", re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(r"([\w:-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_LANG_ELEMENT: Final = re.compile(r"<(/?)lang\b", re.IGNORECASE)
_LANGUAGE: Final = re.compile(r"\bxml:lang\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)

_BREAK_MS: Final = {"none": 0, "x-weak": 100, "weak": 200, "medium": 400, "strong": 700, "x-strong": 1200}
MAX_BREAK_MS: Final = 20_000

NameVoice = Callable[[str | None, str | None], tuple[str, str | None]]
"""From a voice's name and language to the engine's language and, where known, `female` or `male`."""


def document(ssml: str) -> str:
    """The SSML as one document: wrapped in `<speak>` unless it is, without XML declaration and comments before it."""
    while found := _PROLOGUE.match(ssml):
        ssml = ssml[found.end() :]
    return ssml if _OPENS_DOCUMENT.match(ssml) else f"<speak>{ssml}</speak>"


def text_of(ssml: str) -> str:
    """What would be said, for an engine that knows no SSML: substitutes spoken, breaks and paragraphs as blanks."""
    reader = _Text()
    reader.feed(ssml)
    reader.close()
    return re.sub(r"\s+", " ", "".join(reader.said)).strip()


def with_voices(ssml: str, name_voice: NameVoice) -> str:
    """The SSML with every `<voice>` and every `xml:lang` in an engine's own names; `<lang>`, which older engines do not
    know, becomes `<voice>`."""

    def voice(tag: re.Match[str]) -> str:
        given = {m[1].lower(): unescape(m[2] if m[2] is not None else m[3]) for m in _ATTRIBUTE.finditer(tag[1])}
        language, gender = name_voice(given.get("name"), given.get("xml:lang") or given.get("language"))
        gender = given.get("gender", gender)
        spoken_by = f' gender="{escape(gender)}"' if gender else ""
        return f'<voice xml:lang="{escape(language)}"{spoken_by}{tag[2]}>'

    def language(attribute: re.Match[str]) -> str:
        given = attribute[1] if attribute[1] is not None else attribute[2]
        return f'xml:lang="{escape(name_voice(None, unescape(given))[0])}"'

    return _VOICE.sub(voice, _LANG_ELEMENT.sub(r"<\1voice", _LANGUAGE.sub(language, ssml)))


def leading_break_ms(ssml: str) -> int:
    """How long the document is silent before its first word, by its own `<break>` elements."""
    found = _LEADING_BREAKS.match(ssml)
    return min(sum(_break_ms(m[1]) for m in _BREAK.finditer(found[1])), MAX_BREAK_MS) if found else 0


def ends_with_break(ssml: str) -> bool:
    """Whether the silence at the document's end was asked for."""
    return _TRAILING_BREAK.search(ssml) is not None


def with_short_breaks(ssml: str) -> str:
    """The SSML with no single break longer than MAX_BREAK_MS."""

    def bounded(tag: re.Match[str]) -> str:
        return tag[0] if _break_ms(tag[1]) <= MAX_BREAK_MS else f'<break time="{MAX_BREAK_MS}ms"/>'

    return _BREAK.sub(bounded, ssml)


def _break_ms(attributes: str) -> int:
    if time := _TIME.search(attributes):
        # A number of any length is text until here: no caller waits longer than MAX_BREAK_MS anyway.
        ms = float(time[1][:12]) * (1000 if time[2].lower() == "s" else 1)
        return int(min(ms, 10 * MAX_BREAK_MS))
    strength = _STRENGTH.search(attributes)
    return _BREAK_MS.get(strength[1].lower() if strength else "medium", _BREAK_MS["medium"])


class _Text(HTMLParser):
    """Collects what is said. Tolerant: what is no markup is text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.said: list[str] = []
        self._substituted = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"break", "p", "s", "voice"}:
            self.said.append(" ")
        alias = dict(attrs).get("alias")
        if tag == "sub" and alias is not None:
            self.said.append(alias)
            self._substituted += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in {"p", "s", "voice"}:
            self.said.append(" ")
        if tag == "sub" and self._substituted:
            self._substituted -= 1

    def handle_data(self, data: str) -> None:
        if not self._substituted:
            self.said.append(data)
