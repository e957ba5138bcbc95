"""A WAV in base64, judged by its header: plain parsing, no audio library."""

import base64
import binascii
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from offhook.protocol.wav_text import tidied
from offhook.testing.conformance import rule_book
from offhook.testing.conformance.finding import Complaint

_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE
_PLAYED: Final = frozenset({_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE})


@dataclass(frozen=True, slots=True)
class _Header:
    """What the chunks of a WAV say; `data_bytes` None: there is no data chunk."""

    tag: int
    channels: int
    rate: int
    bits: int
    data_bytes: int | None


def wav_complaints(text: str) -> Iterator[Complaint]:
    """What is wrong with this audio, as far as its header tells. What is no WAV at all the reader has refused."""
    try:
        content = base64.b64decode(tidied(text), validate=True)
    except (binascii.Error, ValueError):
        return
    if len(content) < 12 or content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return
    header = _header(content)
    if header is None or not header.rate or not header.channels:
        yield Complaint(rule_book.REAL_WAV, "It begins like a WAV, but has no usable format chunk.", "audio")
    elif header.tag not in _PLAYED:
        yield Complaint(rule_book.REAL_WAV, f"Its audio is compressed (format {header.tag:#06x}).", "audio")
    elif not header.data_bytes:
        yield Complaint(rule_book.SOUND_IN_WAV, "It has no samples.", "audio")
    elif (header.tag not in {_PCM, _EXTENSIBLE}) or (header.rate, header.channels, header.bits) != (16000, 1, 16):
        channels = "mono" if header.channels == 1 else f"{header.channels} channels"
        yield Complaint(rule_book.USUAL_WAV, f"It is {header.rate} Hz, {channels}, {header.bits} bits.", "audio")


def _header(content: bytes) -> _Header | None:
    """None without a format chunk. A data chunk that says it goes on for ever, or nothing, is as long as the file."""
    form: tuple[int, int, int, int] | None = None
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        at += 8
        if name == b"fmt " and at + 16 <= len(content):
            tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", content, at)
            form = (tag, channels, rate, bits)
        elif name == b"data" and form is not None:
            return _Header(*form, len(content) - at)
        at += size + size % 2
    return None if form is None else _Header(*form, None)
