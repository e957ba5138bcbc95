"""One caller's turn through pocketsphinx. Runs in the recogniser's process only.

What is measured here was measured on 41 prompts read by a person, 8 kHz (WER: word error rate).

- Narrowband audio is brought to 16 kHz linearly: its mirror images stand in for the upper band the model expects.
- Live mean normalisation starts from the mean of telephone voices, not of studio ones (WER 63 % → 45 %), and goes on
  from the caller's own in the next turn; the level is brought to that of the mean (10 dB lower: 54 % → 45 %).
- The passes after the first are worth their time (WER without: 78 %), so they run when the caller pauses and
  not when the turn is finished: by then the words are there.
- Noise is decoded as words too: a segment without a voice's pitch has none (`pitch_counter`).
- A grammar of the vocabulary runs over the whole turn. It wins where its path is clearly better and covers the voice:
  phrases of the vocabulary are right in 40 of 40 sentences and 28 of 35 single words; one is wrongly put in the place
  of other words in 3 of 80 sentences and 6 of 35 single words (`golf` as `no`).
"""

import math
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from offhook.speech.phrase_grammar import PhraseGrammar, grammar_of
from offhook.speech.pitch_counter import PitchCounter
from offhook.speech.transcriber import Samples
from offhook.speech.voice_level import FrameLevels, frame_levels, gain_for, silent_at_the_end, voice_level, voiced

MODEL_RATE: Final = 16000
TELEPHONE_MEAN: Final = "53.2,8.2,-1.3,7.8,5.2,-8.6,-1.8,-0.2,-2.0,5.75,-10.2,4.6,-1.4"
"""Mean cepstrum of 8 kHz speech of several speakers at TARGET_DBFS, brought to 16 kHz linearly."""
WIDEBAND_MEAN: Final = "53.6,-6.3,0.0,4.3,2.4,-3.8,-1.2,-1.1,-4.9,-1.9,-6.1,-0.9,1.5"
"""The same of 16 kHz speech (pocketsphinx' own test recordings: WER 40 % with the model's default, 28 % with this)."""
SETTLE_FRAMES: Final = 60
"""A first turn's audio until its level is judged: 300 ms of before the onset (D40) and 300 ms of voice."""
PAUSE_FRAMES: Final = 35
LEAD_FRAMES: Final = 25
MAX_SEGMENT_FRAMES: Final = 2000
MAX_TURN_FRAMES: Final = 12_000
"""Two minutes: what comes after is not recognised any more, so that noise cannot keep the recogniser for ever."""
GRAMMAR_MAX_FRAMES: Final = 1500
MAX_GRAMMARS: Final = 32
GRAMMAR_AHEAD: Final = 14.0
"""By how much a grammar's path must be better than the language model's, in pocketsphinx's log units a voiced frame."""
GRAMMAR_COVERS: Final = 0.7

_NO_WORD: Final = re.compile(r"<[^>]*>|\[[^\]]*\]|\+\+[^+]*\+\+|\(\d+\)|\(null\)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CallerProfile:
    """What one turn teaches for the caller's next: the mean of their features, and their level in dBFS."""

    mean: str | None = None
    level: float | None = None


def words_of(hypothesis: str | None) -> str:
    """The words of a hypothesis: lower case, without fillers, noises and numbers of pronunciations."""
    return " ".join(_NO_WORD.sub(" ", hypothesis or "").lower().split())


class GrammarSearch:
    """The second opinion: one decoder without a language model, for the vocabularies of all calls."""

    def __init__(self) -> None:
        from pocketsphinx import Config, Decoder

        self._decoder: Any = Decoder(Config(loglevel="FATAL", lm=None, bestpath=False))
        self._grammars: OrderedDict[tuple[str, ...], tuple[str, PhraseGrammar]] = OrderedDict()
        self._count = 0

    def load(self, vocabulary: Sequence[str]) -> PhraseGrammar:
        """The grammar of a vocabulary, made at its first use."""
        key = tuple(vocabulary)
        if key not in self._grammars:
            grammar = grammar_of(vocabulary, self._decoder.lookup_word)
            for word, phones in grammar.new_words.items():
                self._decoder.add_word(word, phones, False)
            self._count += 1
            name = f"vocabulary-{self._count}"
            if grammar.phrases:
                self._decoder.add_jsgf_string(name, grammar.jsgf)
            self._grammars[key] = name, grammar
            while len(self._grammars) > MAX_GRAMMARS:
                _, (old, dropped) = self._grammars.popitem(last=False)
                if dropped.phrases:
                    self._decoder.remove_search(old)
        self._grammars.move_to_end(key)
        return self._grammars[key][1]

    def phrase(
        self, vocabulary: Sequence[str], wide: Samples, mean: str, levels: FrameLevels, other: float
    ) -> str | None:
        """The phrase that was said, or None where it was none of them.

        Args:
            vocabulary: as for `load`.
            wide: the voice at 16 kHz.
            mean: features' mean to begin with.
            levels: of the same audio.
            other: the language model's score of the same audio.
        """
        grammar = self.load(vocabulary)
        voice = voiced(levels)
        if not grammar.phrases or not voice.any():
            return None
        self._decoder.activate_search(self._grammars[tuple(vocabulary)][0])
        self._decoder.set_cmn(mean)
        self._decoder.start_utt()
        self._decoder.process_raw(wide.tobytes(), False, False)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        words = words_of(hypothesis.hypstr if hypothesis else None)
        if words not in grammar.phrases:
            return None
        covered = np.zeros(voice.size, np.bool_)
        for segment in self._decoder.seg():
            if words_of(segment.word):
                covered[segment.start_frame : segment.end_frame + 1] = True
        ahead = (score(hypothesis) - other) / int(voice.sum())
        coverage = float((covered & voice).sum() / voice.sum())
        return grammar.phrases[words] if ahead >= GRAMMAR_AHEAD and coverage >= GRAMMAR_COVERS else None


def score(hypothesis: Any) -> float:
    """A hypothesis' path score in pocketsphinx's own log units; the Python binding gives it as a tiny number."""
    return math.log(hypothesis.score) * 1e4 if hypothesis is not None and hypothesis.score > 0 else -math.inf


def new_decoder() -> Any:
    """A decoder with the language model: about 90 MB, a third of a second."""
    from pocketsphinx import Config, Decoder

    return Decoder(Config(loglevel="FATAL", maxhmmpf=5000))


class SphinxTurn:
    """One turn on one decoder, fed as the audio comes.

    Args:
        decoder: of `new_decoder`, this turn's alone until `finish` or `abandon`.
        rate: of the audio, 8000 or 16000 Hz.
        profile: what is known of the caller.
        grammars: with `vocabulary`, the second opinion.
        vocabulary: phrases; empty for the language model alone.
    """

    def __init__(
        self, decoder: Any, rate: int, profile: CallerProfile, grammars: GrammarSearch, vocabulary: Sequence[str]
    ) -> None:
        self._decoder = decoder
        self._rate = rate
        self._frame = rate // 100
        self._grammars = grammars
        self._vocabulary = tuple(vocabulary)
        self._mean = profile.mean or (WIDEBAND_MEAN if rate == MODEL_RATE else TELEPHONE_MEAN)
        self._gain = None if profile.level is None else gain_for(profile.level)
        self._rest: Samples = np.zeros(0, np.int16)
        self._levels: list[FrameLevels] = []
        self._raw_levels: list[FrameLevels] = []
        self._lead: Samples = np.zeros(0, np.int16)
        self._open = False
        self._segment_frames = 0
        self._turn_frames = 0
        self._last_sample = 0
        self._texts: list[str] = []
        self._said = ""
        self._score = 0.0
        self._wide: list[Samples] = []
        self._wide_levels: list[FrameLevels] = []
        self._phrase: str | None = None
        self._pitch = PitchCounter(rate)
        self._has_voice = False
        decoder.set_cmn(self._mean)

    def hear(self, samples: Samples) -> str | None:
        """More audio: the words so far when they have changed."""
        self._rest = np.concatenate([self._rest, samples])
        whole = len(self._rest) // self._frame * self._frame
        if self._gain is None:
            if whole < SETTLE_FRAMES * self._frame:
                return None
            self._settle()
        block, self._rest = self._rest[:whole], self._rest[whole:]
        if block.size == 0 or self._turn_frames >= MAX_TURN_FRAMES:
            return None
        self._turn_frames += whole // self._frame
        self._take(block)
        said = self._so_far()
        if said == self._said:
            return None
        self._said = said
        return said

    def finish(self) -> tuple[str, CallerProfile]:
        """The final words, and the caller's profile for the next turn. The decoder is free again."""
        if self._gain is None and self._rest.size:
            self._settle()
            self.hear(np.zeros(-len(self._rest) % self._frame, np.int16))
        self._close_segment()
        text = self._phrase if self._phrase is not None else self._so_far()
        level = voice_level(np.concatenate(self._raw_levels)) if text and self._raw_levels else None
        return text, CallerProfile(self._decoder.get_cmn(False) if text else None, level)

    def abandon(self) -> None:
        """Nobody waits for these words any more. The decoder is free again."""
        if self._open:
            self._decoder.end_utt()
            self._open = False

    def _settle(self) -> None:
        level = voice_level(frame_levels(self._rest, self._rate))
        self._gain = 1.0 if level is None else gain_for(level)

    def _take(self, block: Samples) -> None:
        assert self._gain is not None
        self._raw_levels.append(frame_levels(block, self._rate))
        loud: Samples = np.clip(block * self._gain, -32768, 32767).astype(np.int16)
        self._levels.append(frame_levels(loud, self._rate))
        levels = np.concatenate(self._levels)
        frames = self._levels[-1].size
        if not self._open:
            if not voiced(levels)[-frames:].any():
                self._lead = np.concatenate([self._lead, loud])[-LEAD_FRAMES * self._frame :]
                return
            self._decoder.start_utt()
            self._open, self._segment_frames, self._phrase = True, 0, None
            self._pitch.reset()
            loud, self._lead = np.concatenate([self._lead, loud]), np.zeros(0, np.int16)
        self._decode(loud)
        if silent_at_the_end(levels) >= PAUSE_FRAMES or self._segment_frames >= MAX_SEGMENT_FRAMES:
            self._close_segment()

    def _decode(self, loud: Samples) -> None:
        wide = self._widened(loud)
        self._pitch.feed(loud)
        self._has_voice = self._has_voice or self._pitch.is_voice
        self._segment_frames += len(loud) // self._frame
        self._decoder.process_raw(wide.tobytes(), False, False)
        if self._vocabulary:
            self._wide.append(wide)
            self._wide_levels.append(frame_levels(loud, self._rate))

    def _widened(self, samples: Samples) -> Samples:
        if self._rate == MODEL_RATE:
            return samples
        now = samples.astype(np.int32)
        before = np.concatenate(([self._last_sample], now[:-1]))
        self._last_sample = int(now[-1])
        wide = np.empty(2 * len(now), np.int16)
        wide[0::2] = (before + now) // 2
        wide[1::2] = now
        return wide

    def _close_segment(self) -> None:
        if not self._open:
            return
        self._decoder.end_utt()
        self._open = False
        hypothesis = self._decoder.hyp()
        self._texts.append(words_of(hypothesis.hypstr if hypothesis and self._pitch.is_voice else None))
        self._score += score(hypothesis)
        if (
            self._vocabulary
            and self._has_voice
            and sum(levels.size for levels in self._wide_levels) <= GRAMMAR_MAX_FRAMES
        ):
            self._phrase = self._grammars.phrase(
                self._vocabulary,
                np.concatenate(self._wide),
                self._mean,
                np.concatenate(self._wide_levels),
                self._score,
            )

    def _so_far(self) -> str:
        words = list(self._texts)
        if self._open and self._pitch.is_voice:
            hypothesis = self._decoder.hyp()
            words.append(words_of(hypothesis.hypstr if hypothesis else None))
        return " ".join(text for text in words if text)
