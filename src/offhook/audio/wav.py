"""WAV files in and out (contract D11).

Linear, floating-point and G.711 WAV is read here, because files from the wild get their sizes wrong: a header written
before the audio was known says 0 or 0xFFFFFFFF, a download stops early. libsndfile, by soundfile, reads the other kinds
(ADPCM, GSM, RF64, big-endian).
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile

from offhook.audio.g711 import decode_alaw, decode_ulaw
from offhook.errors import OffhookError

Samples = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]

MAX_SECONDS: Final = 3600
MIN_RATE: Final = 1000
MAX_RATE: Final = 384_000
MAX_CHANNELS: Final = 32

_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE
_FULL_SCALE = 32768


@dataclass(frozen=True, slots=True, eq=False)
class Pcm:
    """Audio of one channel: (n,) int16 samples, and their rate in Hz."""

    samples: Samples
    rate: int

    @property
    def duration_ms(self) -> int:
        return len(self.samples) * 1000 // self.rate


@dataclass(frozen=True, slots=True)
class _Format:
    tag: int
    channels: int
    rate: int
    container: int  # bytes of one sample of one channel


def read_wav(data: bytes) -> Pcm:
    """Read a WAV file of any kind, mixing its channels into one.

    A file that was cut off, or whose header does not know its size, is read as far as it goes; one without audio
    gives no samples.

    Raises:
        OffhookError: `not_a_wav`, when it is something else or cannot be decoded; `wav_too_long`, above MAX_SECONDS.
    """
    if len(data) < 12 or data[:4] not in {b"RIFF", b"RIFX", b"RF64"} or data[8:12] != b"WAVE":
        raise _not_a_wav(_what_it_looks_like(data))
    form: _Format | None = None
    if data[:4] == b"RIFF":
        for name, body, size in _chunks(data):
            if name == b"fmt ":
                form = _read_format(data[body : body + min(size, 40)])
            elif name == b"data" and form is not None and _is_ours(form):
                return _decode(data, body, size, form)
            elif name == b"data":
                break
        else:
            if form is not None:
                return Pcm(np.zeros(0, np.int16), form.rate)
            raise _not_a_wav("a WAV header without a format")
    return _decode_by_soundfile(data)


def wav_bytes(samples: Samples, rate: int) -> bytes:
    """A 16-bit WAV file: (n,) samples are mono, (n, 2) stereo."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    body = samples.astype("<i2").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, _PCM, channels, rate, rate * channels * 2, channels * 2, 16)
    head = struct.pack("<4sI4s", b"RIFF", 4 + len(form) + 8 + len(body), b"WAVE")
    return head + form + struct.pack("<4sI", b"data", len(body)) + body


def write_wav(path: Path, samples: Samples, rate: int) -> None:
    """Write a 16-bit WAV file: (n,) samples are mono, (n, 2) stereo.

    Raises:
        OSError: the file cannot be written.
    """
    path.write_bytes(wav_bytes(samples, rate))


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's name, start and size; a size beyond the end of the file is cut to it."""
    at = 12
    while at + 8 <= len(data):
        name = data[at : at + 4]
        size = int(struct.unpack_from("<I", data, at + 4)[0])
        body = at + 8
        if name == b"data" and size == 0 and not _is_chain(data, body):
            size = len(data) - body
        size = min(size, len(data) - body)
        yield name, body, size
        at = body + size + size % 2


def _is_chain(data: bytes, at: int) -> bool:
    """Whether from here to the end there is nothing but whole chunks: then an empty one before them is truly empty."""
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int(struct.unpack_from("<I", data, at + 4)[0])
        if not name.isascii() or not name.decode().isprintable():
            return False
        at += 8 + size + size % 2
    return at - 1 <= len(data) <= at


def _read_format(body: bytes) -> _Format:
    if len(body) < 16:
        raise _not_a_wav("a WAV header whose format is cut off")
    tag, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", body)
    if tag == _EXTENSIBLE:
        tag = struct.unpack_from("<H", body, 24)[0] if len(body) >= 26 else _PCM
    if not 1 <= channels <= MAX_CHANNELS:
        raise _not_a_wav(f"a WAV header with {channels} channels")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise _not_a_wav(f"a WAV header with a rate of {rate} Hz")
    container = block // channels if block and block % channels == 0 else (bits + 7) // 8
    return _Format(tag=tag, channels=channels, rate=rate, container=container)


def _is_ours(form: _Format) -> bool:
    containers = {_PCM: {1, 2, 3, 4}, _FLOAT: {4, 8}, _ULAW: {1}, _ALAW: {1}}
    return form.container in containers.get(form.tag, set())


def _decode(data: bytes, start: int, size: int, form: _Format) -> Pcm:
    block = form.channels * form.container
    frames = size // block
    if frames > form.rate * MAX_SECONDS:
        raise _too_long()
    # Copied, because samples of 2, 4 and 8 bytes may lie at an odd address of the file.
    raw = np.frombuffer(data, np.uint8, frames * block, start).copy()
    if form.tag == _ULAW:
        audio: Samples | Floats = decode_ulaw(raw)
    elif form.tag == _ALAW:
        audio = decode_alaw(raw)
    elif form.tag == _FLOAT:
        audio = _from_float(raw.view("<f4" if form.container == 4 else "<f8"))
    else:
        audio = _from_linear(raw, form.container)
    return Pcm(_mix(audio.reshape(frames, form.channels)), form.rate)


def _from_linear(raw: npt.NDArray[np.uint8], container: int) -> Samples | Floats:
    if container == 1:
        return (raw.astype(np.int16) - 128) << 8
    if container == 2:
        return raw.view("<i2").astype(np.int16, copy=False)
    if container == 3:
        upper = np.zeros((len(raw) // 3, 4), np.uint8)
        upper[:, 1:] = raw.reshape(-1, 3)
        raw = upper.reshape(-1)
    return raw.view("<i4").astype(np.float32) * np.float32(2**-16)


def _from_float(values: npt.NDArray[np.floating]) -> Floats:
    """-1..1 → full scale; what is not a number is silence, what is beyond full scale is clipped."""
    bounded = np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=-1.0).clip(-1, 1)
    scaled: Floats = (bounded * _FULL_SCALE).astype(np.float32)
    return scaled


def _mix(audio: Samples | Floats) -> Samples:
    """(n, channels) → (n,), the mean of the channels."""
    if audio.shape[1] == 1 and audio.dtype == np.int16:
        return np.ascontiguousarray(audio[:, 0], np.int16)
    mixed = audio[:, 0] if audio.shape[1] == 1 else audio.mean(axis=1, dtype=np.float32)
    return np.rint(mixed).clip(-_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


def _decode_by_soundfile(data: bytes) -> Pcm:
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate = int(file.samplerate)
            if not MIN_RATE <= rate <= MAX_RATE:
                raise _not_a_wav(f"a WAV header with a rate of {rate} Hz")
            audio: Floats = file.read(rate * MAX_SECONDS + 1, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise _not_a_wav(f"a WAV file that cannot be decoded ({error.error_string})") from error
    if len(audio) > rate * MAX_SECONDS:
        raise _too_long()
    return Pcm(_mix(_from_float(audio)), rate)


def _what_it_looks_like(data: bytes) -> str:
    if not data:
        return "nothing at all"
    if data[:3] == b"ID3" or data[:2] in {b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"}:
        return "an MP3 file"
    known = {b"OggS": "an Ogg file", b"fLaC": "a FLAC file", b"RIFF": "a RIFF file of another kind"}
    return known.get(data[:4], "something else")


def _not_a_wav(what: str) -> OffhookError:
    return OffhookError(
        f"The audio is not a WAV file that can be played: it is {what}.",
        remedy="Send a WAV file, best 16 kHz, mono, 16-bit PCM.",
        code="not_a_wav",
    )


def _too_long() -> OffhookError:
    return OffhookError(
        f"The audio is longer than {MAX_SECONDS} seconds.",
        remedy="Send it in shorter pieces; for background sound a short loop is enough.",
        code="wav_too_long",
    )
