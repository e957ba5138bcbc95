"""espeak-ng in a process of its own: `python -m offhook.speech.espeak_process <descriptor>`.

The library is GPL-3 and keeps one synthesis at a time in global state; here is the only place that loads it. A second
of speech takes about a millisecond; a request that is cancelled stops within one callback of the library, about 60 ms
of audio. A request is `text`, `ssml` (bool), `voice`, `words_per_minute`, `pause_after` (bool).
"""

import ctypes
import sys
from collections.abc import Callable
from typing import Any, Final

from offhook.speech.frames import CannotStart
from offhook.speech.voice_worker import run_voice

CHUNK_MS: Final = 60
MAX_SPEECH_SECONDS: Final = 900

# From espeak-ng's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS: Final = 2
_INITIALIZE_DONT_EXIT: Final = 0x8000
_CHARS_UTF8: Final = 1
_SSML: Final = 0x10
_END_PAUSE: Final = 0x1000
_RATE: Final = 1
_POSITION_CHARACTER: Final = 1


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("unused", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_ON_AUDIO = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
_ON_URI = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p)


class EspeakLibrary:
    """The C library, loaded and initialised. Raises OSError or RuntimeError where it cannot be."""

    def __init__(self, library: str, data: str) -> None:
        self._lib: Any = ctypes.CDLL(library)
        self._give: Callable[[bytes], bool] | None = None
        self._samples_left = 0
        self.rate: int = self._lib.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, CHUNK_MS, data.encode(), _INITIALIZE_DONT_EXIT
        )
        if self.rate <= 0:
            raise RuntimeError(f"espeak_Initialize answered {self.rate}")
        self._files: dict[str, str] = {}
        # ctypes keeps no reference to a callback: these attributes do.
        self._on_audio = _ON_AUDIO(self._audio)
        self._on_uri = _ON_URI(self._uri)
        self._lib.espeak_SetSynthCallback(self._on_audio)
        self._lib.espeak_SetUriCallback(self._on_uri)

    def languages(self) -> list[str]:
        """The languages it speaks, lower case."""
        self._lib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        listed = self._lib.espeak_ListVoices(None)
        at = 0
        while voice := listed[at]:
            # A list of (priority byte, zero-terminated name); the first is the voice's own.
            language = ctypes.string_at(voice.contents.languages + 1).decode("utf-8", "replace").lower()
            self._files.setdefault(language, voice.contents.identifier.decode("utf-8", "replace"))
            at += 1
        return sorted(self._files)

    @property
    def facts(self) -> dict[str, Any]:
        """See `VoiceEngine`."""
        return {"rate": self.rate, "languages": self.languages()}

    def speak(self, request: dict[str, Any], give: Callable[[bytes], bool]) -> str | None:
        """See `VoiceEngine`."""
        self._give = give
        self._samples_left = self.rate * MAX_SPEECH_SECONDS
        # By its file: a language such as en-gb is no name that espeak_SetVoiceByName knows.
        language, plus, variant = str(request["voice"]).partition("+")
        if self._lib.espeak_SetVoiceByName(f"{self._files.get(language, language)}{plus}{variant}".encode()) != 0:
            return f"espeak-ng has no voice {request['voice']!r}"
        self._lib.espeak_SetParameter(_RATE, int(request["words_per_minute"]), 0)
        data = str(request["text"]).encode("utf-8", "replace").replace(b"\0", b" ")
        flags = _CHARS_UTF8 | (_SSML if request["ssml"] else 0) | (_END_PAUSE if request["pause_after"] else 0)
        status = self._lib.espeak_Synth(data, len(data) + 1, 0, _POSITION_CHARACTER, 0, flags, None, None)
        return None if status == 0 else f"espeak_Synth answered {status}"

    def _audio(self, samples: Any, count: int, _events: Any) -> int:
        if self._give is None or self._samples_left <= 0:
            return 1
        sound = ctypes.string_at(samples, count * 2) if samples and count > 0 else b""
        self._samples_left -= count
        return 0 if self._give(sound) else 1

    def _uri(self, _kind: int, _uri: bytes | None, _base: bytes | None) -> int:
        # Not zero: the text within <audio> is spoken instead. Zero would let an app's SSML open files of this machine.
        return 1


def load() -> EspeakLibrary:
    """The library, ready to speak."""
    try:
        import espeakng_loader
    except ImportError as missing:
        raise CannotStart("The embedded voice", extra="espeak") from missing
    try:
        library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
        return EspeakLibrary(str(library), str(data))
    except (OSError, RuntimeError) as error:
        remedy = "pip install --force-reinstall 'offhook[espeak]'"
        raise CannotStart(f"espeak-ng cannot be loaded: {error}.", remedy=remedy) from error


if __name__ == "__main__":
    run_voice(int(sys.argv[1]), load)
