"""SSML as Azure takes it: a strict document with version, namespace and language, its text in voices.

What an app wrote is passed on whole; what it left out is added, and stray characters are escaped. What is no XML even
then is spoken as its text. Sources: Microsoft's page on the structure of SSML documents.
"""

import re
from html import escape, unescape
from typing import Final
from xml.parsers import expat

from offhook.speech import ssml as markup

_SPEAK: Final = re.compile(r"<speak\b((?:[^>\"']|\"[^\"]*\"|'[^']*')*?)(/?)>", re.IGNORECASE)
_END: Final = re.compile(r"</speak\s*>\s*$", re.IGNORECASE)
_HAS_VOICE: Final = re.compile(r"<(?:\w+:)?voice\b", re.IGNORECASE)
_NAME: Final = re.compile(r"([\w:.-]+)\s*=")
_STRAY_AMPERSAND: Final = re.compile(r"&(?!#\d+;|#x[0-9a-fA-F]+;|(?:amp|lt|gt|quot|apos);)")
_HTML_ENTITY: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z][A-Za-z0-9]*;")
_STRAY_LESS: Final = re.compile(r"<(?![A-Za-z/!?])")
_SYNTHESIS: Final = "http://www.w3.org/2001/10/synthesis"
_MSTTS: Final = "http://www.w3.org/2001/mstts"


def of_text(text: str, voice: str, language: str) -> str:
    """A document that says this text."""
    return _document("", f"<voice name={_quoted(voice)}>{escape(text, quote=False)}</voice>", language)


def of_ssml(ssml: str, voice: str, language: str) -> tuple[str, bool]:
    """The document, and whether it is what was given: where that is no XML, it says only its text. `voice` and
    `language` count where the document names none."""
    given = markup.document(ssml)
    for document in (given, _mended(given)):
        completed = _completed(document, voice, language)
        if _is_xml(completed):
            return completed, True
    return of_text(markup.text_of(ssml), voice, language), False


def _completed(document: str, voice: str, language: str) -> str:
    opening = _SPEAK.search(document)
    if opening is None:
        return document
    content = "" if opening[2] else _END.sub("", document[opening.end() :])
    if not _HAS_VOICE.search(content):
        content = f"<voice name={_quoted(voice)}>{content}</voice>"
    return _document(opening[1], content, language)


def _document(attributes: str, content: str, language: str) -> str:
    named = {found[1] for found in _NAME.finditer(attributes)}
    defaults = {"version": "1.0", "xmlns": _SYNTHESIS, "xmlns:mstts": _MSTTS, "xml:lang": language}
    added = "".join(f" {name}={_quoted(value)}" for name, value in defaults.items() if name not in named)
    return f"<speak{attributes.rstrip()}{added}>{content}</speak>"


def _mended(document: str) -> str:
    named = _HTML_ENTITY.sub(lambda entity: escape(unescape(entity[0])), document)
    return _STRAY_LESS.sub("&lt;", _STRAY_AMPERSAND.sub("&amp;", named))


def _is_xml(document: str) -> bool:
    parser = expat.ParserCreate(namespace_separator=" ")
    try:
        parser.Parse(document, True)
    except expat.ExpatError:
        return False
    return True


def _quoted(value: str) -> str:
    return f'"{escape(value)}"'
