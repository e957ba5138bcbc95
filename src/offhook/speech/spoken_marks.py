"""From a vendor's word boundaries to `SpokenMark`: how much of the text has been said by which sample."""

from typing import Final

from offhook.speech.synthesizer import SpokenMark

FAR: Final = 200
"""A word that is not found within so many characters is spelled otherwise in the text, and is passed over."""


class SpokenMarks:
    """The marks of one utterance. Words are told and sound comes, each in order, but not in step. `samples`: the sound
    that has come."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._reached = 0
        self._waiting: list[SpokenMark] = []
        self.samples = 0

    def word(self, word: str, ends_at_sample: int) -> None:
        """This word has been said when so many samples of the utterance have been played."""
        found = self._text.find(word, self._reached, self._reached + FAR + len(word)) if word else -1
        if found >= 0:
            self._reached = found + len(word)
            self._waiting.append(SpokenMark(self._reached, ends_at_sample))

    def of_next(self, samples: int) -> tuple[SpokenMark, ...]:
        """The marks within so many more samples, counted from the first of these."""
        began, self.samples = self.samples, self.samples + samples
        due = [mark for mark in self._waiting if mark.at_sample <= self.samples]
        del self._waiting[: len(due)]
        return tuple(SpokenMark(mark.characters, max(0, mark.at_sample - began)) for mark in due)
