"""A WAV file as base64 text, as `audio` and `mix_audio` carry it (contract D11); its header tells that it is one."""

import base64
import binascii
import re

_DATA_URL = re.compile(r"data:[^,]{0,100};base64,", re.IGNORECASE)
_HEADER_BYTES = 12


def wav_mistake(text: str) -> str | None:
    """Why this text is not a WAV in base64; None when it is one. A WAV without samples is one."""
    if not text:
        return "it is empty"
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return "it is not base64"
    if len(content) < _HEADER_BYTES or content[:4] not in {b"RIFF", b"RF64"} or content[8:12] != b"WAVE":
        return "it does not begin with a RIFF/WAVE header"
    return None


def tidied(text: str) -> str:
    """The same base64 in its one standard form: no `data:` prefix, no white space, the standard alphabet, padded."""
    found = _DATA_URL.match(text[:120].lstrip())
    if found:
        text = text.lstrip()[found.end() :]
    text = "".join(text.split()).translate(str.maketrans("-_", "+/"))
    return text + "=" * (-len(text) % 4) if text else text
