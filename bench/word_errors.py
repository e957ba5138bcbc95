"""How many words an ear gets wrong: the prompts of tests/data/prompts_en.tsv, read by a person, over its own interface.

Each prompt is one turn of a new call, with 300 ms of quiet line before it and 600 ms after it (D40): 8 kHz from the WAV
files of Debian's asterisk-core-sounds-en-wav, 16 kHz from those in G.722 (…-en-g722). Three vocabularies: none; the
sentences of all prompts, as a menu's answers would be; and 35 others, of which nobody says any.

    python bench/word_errors.py [--write]                                          # the embedded ear
    python bench/word_errors.py --engine sherpa-onnx --model FOLDER [--write]      # or onnx-asr, vosk

Word error rate: (wrong, missing and added words) / words said, over all prompts; in brackets what 95 % of 1000 draws of
as many prompts from these give. `--write` puts the table into bench/RESULTS.md.
"""

import argparse
import asyncio
import random
import re
import sys
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from G722 import G722

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from bench.results import machine, table, today, write_section  # noqa: E402

from offhook.speech.transcriber import (  # noqa: E402
    EarFailed,
    Samples,
    Transcriber,
    TranscriptionSettings,
    WordsHeard,
)
from offhook.speech.transcribers.local_model import MODULES, LocalEarSettings, LocalTranscriber  # noqa: E402
from offhook.speech.transcribers.pocketsphinx import PocketsphinxTranscriber  # noqa: E402

SOUNDS: Final = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
WORDS: Final = ROOT / "tests" / "data" / "prompts_en.tsv"
EMBEDDED: Final = "pocketsphinx"
DRAWS: Final = 1000
THINGS: Final = ("my order", "the contract", "an appointment", "this invoice", "my address", "a refund", "my tariff")
NOT_SAID: Final = tuple(
    f"{verb} {thing}" for verb in ("cancel", "change", "confirm", "explain", "repeat") for thing in THINGS
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is said, and how many words of it were heard wrongly."""

    said: str
    heard: str

    @property
    def errors(self) -> int:
        return distance(self.said.split(), self.heard.split())


def distance(said: Sequence[str], heard: Sequence[str]) -> int:
    """How many words must be replaced, added or taken away to make one of the other."""
    costs = list(range(len(heard) + 1))
    for row, word in enumerate(said, 1):
        before, costs[0] = costs[0], row
        for column, other in enumerate(heard, 1):
            cost = min(costs[column] + 1, costs[column - 1] + 1, before + (word != other))
            before, costs[column] = costs[column], cost
    return costs[-1]


def plain(text: str) -> str:
    """Words alone, as the list has them: small, without marks."""
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower()).split())


def recording(name: str, rate: int) -> Samples:
    """A prompt within a quiet line."""
    if rate == 8000:
        with wave.open(str(SOUNDS / f"{name}.wav")) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    else:
        codec = G722(rate, 64000, use_numpy=False)
        samples = np.frombuffer(codec.decode((SOUNDS / f"{name}.g722").read_bytes()), np.int16)
    line = np.random.default_rng(1)
    lead, tail = (line.integers(-20, 20, rate * ms // 1000) for ms in (300, 600))
    return np.concatenate([lead, samples, tail]).astype(np.int16)


async def heard(ear: Transcriber, samples: Samples, rate: int, vocabulary: tuple[str, ...]) -> str:
    """The final words of one turn."""
    stream = ear.open(TranscriptionSettings(rate, ("en-US",), vocabulary))
    stream.begin_turn(1)
    for start in range(0, len(samples), rate // 10):
        stream.hear(1, samples[start : start + rate // 10])
    stream.finish_turn(1)
    text = ""
    async for item in stream.heard():
        if isinstance(item, EarFailed):
            sys.exit(f"The ear failed: {item.reason}")
        if isinstance(item, WordsHeard) and item.final:
            text = item.text
            break
    await stream.close()
    return plain(text)


def rate_of(prompts: Sequence[Prompt]) -> float:
    """Word error rate in percent."""
    return 100 * sum(prompt.errors for prompt in prompts) / sum(len(prompt.said.split()) for prompt in prompts)


def row(what: str, rate: int, prompts: Sequence[Prompt]) -> list[str]:
    """A line of the table."""
    chance = random.Random(1)
    draws = sorted(rate_of(chance.choices(prompts, k=len(prompts))) for _ in range(DRAWS))
    low, high = draws[DRAWS // 40], draws[-DRAWS // 40]
    exact = sum(prompt.errors == 0 for prompt in prompts)
    return [
        f"{rate // 1000} kHz",
        what,
        f"{rate_of(prompts):.1f} % ({low:.1f} to {high:.1f})",
        f"{exact} of {len(prompts)}",
    ]


def told(text: str) -> None:
    """Where the measurement is: a line that is written over, for whoever looks on; a log gets where each row begins."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
    elif text and ("prompt" not in text or "prompt 1 of" in text):
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


async def measure(ear: Transcriber) -> list[list[str]]:
    """All rows."""
    lines = [line.split("\t", 1) for line in WORDS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    said = {name: plain(words) for name, words in (line for line in lines if len(line) == 2)}
    vocabularies = {"none": (), "the prompts' sentences": tuple(said.values()), "other sentences": NOT_SAID}
    told("starting the ear …")
    await ear.start()
    rows = []
    for rate in (8000, 16000):
        for what, vocabulary in vocabularies.items():
            found: list[Prompt] = []
            for name, words in said.items():
                told(f"{rate // 1000} kHz, vocabulary: {what}: prompt {len(found) + 1} of {len(said)} …")
                found.append(Prompt(words, await heard(ear, recording(name, rate), rate, vocabulary)))
            told("")
            rows.append(row(what, rate, found))
            print(" | ".join(rows[-1]), flush=True)
    await ear.stop()
    return rows


def main() -> None:
    """Measure, print, and write where asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=(EMBEDDED, *MODULES), default=EMBEDDED)
    parser.add_argument("--model", type=Path, help="the folder of the engine's model")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    if not (SOUNDS / "activated.g722").exists():
        sys.exit("Install the prompts: apt-get install asterisk-core-sounds-en-wav asterisk-core-sounds-en-g722")
    if asked.engine != EMBEDDED and asked.model is None:
        sys.exit("--model: name the folder of a model of this engine")
    ear: Transcriber = (
        PocketsphinxTranscriber()
        if asked.engine == EMBEDDED
        else LocalTranscriber(LocalEarSettings(asked.engine, asked.engine, asked.model))
    )
    rows = asyncio.run(measure(ear))
    if asked.write:
        model = f", {asked.model.name}" if asked.model is not None else ""
        command = "python bench/word_errors.py" + (f" --engine {asked.engine} --model …" if model else "")
        head = f"{today()}, {machine()}: `{command}`. {asked.engine}{model}, {rows[0][3].split()[-1]} prompts.\n\n"
        cells = table(["line", "custom_vocabulary", "word error rate", "exact"], rows)
        write_section(f"word_errors, {asked.engine}{model}", head + cells)


if __name__ == "__main__":
    main()
