"""Finished speech on disk, so that a restart does not pay for it again: one file a piece, the longest unused go first.

Everything here blocks, and is called from threads; `holds` alone is for the loop.
"""

import json
import logging
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from offhook.errors import SettingsInvalid
from offhook.speech.synthesizer import SpeechChunk, SpokenMark

SUFFIX: Final = ".speech"

_log = logging.getLogger(__name__)


class SpeechShelf:
    """A folder of speech, which only this user can read: it holds what is said to callers. Several processes may share
    it.

    Args:
        max_bytes: of files in all.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder: Final = folder
        self._max_bytes: Final = max_bytes
        self._sizes: Final[OrderedDict[str, int]] = OrderedDict()
        self._lock: Final = threading.Lock()
        self.bytes_held = 0

    def open(self) -> None:
        """See what is there. Raises SettingsInvalid when the folder cannot be had."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._folder):
                pass
        except OSError as refusal:
            raise SettingsInvalid(
                f"speech.cache_folder {self._folder} cannot be written: {refusal.strerror}.",
                remedy="Give the service's user the right to write there, or name another folder.",
            ) from refusal
        self._look()

    def holds(self, name: str) -> bool:
        """Whether there is speech of this name, as far as is known."""
        return name in self._sizes

    def load(self, name: str) -> tuple[SpeechChunk, ...] | None:
        """The speech, which lives longer now; None: it is gone, or cannot be read and is dropped."""
        path = self._path(name)
        try:
            data = path.read_bytes()
            os.utime(path)
            chunks = tuple(_unpacked(data))
        except FileNotFoundError:
            self._forget(name)
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("speech in %s cannot be read (%s) and is dropped", path, error)
            self._drop(name)
            return None
        with self._lock:
            if name in self._sizes:
                self._sizes.move_to_end(name)
        return chunks

    def keep(self, name: str, chunks: tuple[SpeechChunk, ...]) -> None:
        """Put the speech there, and drop what was not used for the longest time where there is too much. A disk that is
        full is one line in the log."""
        data = _packed(chunks)
        if len(data) > self._max_bytes:
            return
        try:
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
                file.write(data)
            Path(file.name).replace(self._path(name))
        except OSError as refusal:
            _log.warning("speech cannot be kept in %s: %s", self._folder, refusal.strerror)
            return
        self._forget(name)
        with self._lock:
            self._sizes[name] = len(data)
            self.bytes_held += len(data)
        if self.bytes_held > self._max_bytes:
            self._make_room()

    def _make_room(self) -> None:
        self._look()
        while self.bytes_held > self._max_bytes and self._sizes:
            self._drop(next(iter(self._sizes)))

    def _look(self) -> None:
        """What is in the folder, by the time of its last use: others may share it."""
        found = sorted(self._files())
        with self._lock:
            self._sizes.clear()
            self._sizes.update((name, size) for _, name, size in found)
            self.bytes_held = sum(self._sizes.values())

    def _files(self) -> Iterator[tuple[float, str, int]]:
        for path in self._folder.glob(f"*{SUFFIX}"):
            try:
                about = path.stat()
            except FileNotFoundError:
                continue
            yield about.st_mtime, path.name.removesuffix(SUFFIX), about.st_size

    def _drop(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)
        self._forget(name)

    def _forget(self, name: str) -> None:
        with self._lock:
            self.bytes_held -= self._sizes.pop(name, 0)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"


def _packed(chunks: tuple[SpeechChunk, ...]) -> bytes:
    """A line of JSON that says how the samples behind it are cut into chunks."""
    about = [
        {
            "rate": chunk.rate,
            "samples": chunk.samples.size,
            "spoken": [[mark.characters, mark.at_sample] for mark in chunk.spoken],
        }
        for chunk in chunks
    ]
    samples = b"".join(chunk.samples.astype("<i2").tobytes() for chunk in chunks)
    return json.dumps(about).encode() + b"\n" + samples


def _unpacked(data: bytes) -> Iterator[SpeechChunk]:
    line, _, rest = data.partition(b"\n")
    about: Any = json.loads(line)
    samples = np.frombuffer(rest, "<i2").astype(np.int16)
    if not isinstance(about, list) or samples.size != sum(each["samples"] for each in about):
        raise ValueError("it is not whole")
    samples.setflags(write=False)
    start = 0
    for each in about:
        end = start + each["samples"]
        marks = tuple(SpokenMark(int(characters), int(at)) for characters, at in each["spoken"])
        yield SpeechChunk(samples[start:end], int(each["rate"]), marks)
        start = end
