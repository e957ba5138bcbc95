"""The recogniser changes in the middle of what the caller says: no audio and no word is lost (contract D13)."""

from collections.abc import Callable
from typing import Final

import numpy as np
import pytest

from offhook.app_links.app_link import ActionsCame
from offhook.calls.caller_ear import BEFORE_ONSET_MS, KEPT_SECONDS
from offhook.protocol.actions import ConfigureTranscription
from offhook.speech.transcriber import Samples, TranscriptionSettings
from offhook.speech.transcribers.scripted import ScriptedEarSettings, ScriptedStream, ScriptedTranscriber
from tests.calls.hand_house import RATE, HandHouse, talk


class Listener(ScriptedStream):
    """Keeps what it is told. `on_finish` happens before its final words."""

    def __init__(self, settings: ScriptedEarSettings, rate: int) -> None:
        super().__init__(settings, rate)
        self.told: list[Samples] = []
        self.closed = False
        self.on_finish: Callable[[], None] = lambda: None

    def hear(self, turn: int, samples: Samples) -> None:
        self.told.append(samples)
        super().hear(turn, samples)

    def finish_turn(self, turn: int) -> None:
        self.on_finish()
        super().finish_turn(turn)

    async def close(self) -> None:
        self.closed = True
        await super().close()

    @property
    def audio(self) -> Samples:
        return np.concatenate(self.told)


class Ear(ScriptedTranscriber):
    """`streams` are those that it has opened."""

    def __init__(self, settings: ScriptedEarSettings) -> None:
        super().__init__(settings)
        self.script: Final = settings
        self.streams: list[Listener] = []

    def open(self, settings: TranscriptionSettings) -> Listener:
        self.opened.append(settings)
        self.streams.append(Listener(self.script, settings.rate))
        return self.streams[-1]


class TwoEars:
    """The flow's own, and Deepgram's place."""

    def __init__(self) -> None:
        self.own = Ear(ScriptedEarSettings(["one two three four", "five six"]))
        self.other = Ear(ScriptedEarSettings(["uno dos tres cuatro", "cinco seis"]))

    def named(self, provider: str | None) -> Ear:
        return self.other if provider == "DEEPGRAM" else self.own


def configure(house: HandHouse, provider: str | None = "DEEPGRAM", languages: tuple[str, ...] = ("es",)) -> None:
    session = house.app.received[0]["session"]["id"]
    action = ConfigureTranscription(session_id=session, provider=provider, languages=languages)
    house.app.tell(ActionsCame((action,), ()))


def heard_by_app(house: HandHouse) -> list[str]:
    return [event["text"] for event in house.app.received if event["type"] == "user_speak"]


@pytest.mark.parametrize("spoken_ms", [1000, 7000])
async def test_an_ear_that_takes_over_in_the_middle_of_a_turn_is_told_all_of_it(spoken_ms: int) -> None:
    """However long ago it began: the row's ring holds 4 s."""
    ears = TwoEars()
    async with HandHouse(ears=ears) as house:
        caller = await house.dial(talk(spoken_ms))
        await house.tick(spoken_ms // 20 - 20)
        configure(house)
        await house.until(lambda: "user_speak" in house.events())

        (before,), (after,) = ears.own.streams, ears.other.streams
        assert heard_by_app(house) == ["uno dos tres cuatro"]
        assert ears.other.opened == [TranscriptionSettings(RATE, ("es",))]
        assert np.array_equal(after.audio[: before.audio.size], before.audio)
        assert after.audio.size > (spoken_ms + BEFORE_ONSET_MS - 100) * RATE // 1000
        assert before.closed
        assert not after.closed
        caller.hang_up()


async def test_the_last_words_of_a_turn_that_has_ended_come_from_the_ear_that_heard_it() -> None:
    ears = TwoEars()
    async with HandHouse(ears=ears) as house:
        caller = await house.dial(talk(800))
        await house.tick(10)
        ears.own.streams[0].on_finish = lambda: configure(house)
        await house.until(lambda: "user_speak" in house.events())
        await house.tick(5)

        assert heard_by_app(house) == ["one two three four"]
        assert [len(each.streams) for each in (ears.own, ears.other)] == [1, 1]
        assert ears.own.streams[0].closed
        caller.hang_up()


async def test_two_changes_in_one_turn_lose_nothing_either() -> None:
    ears = TwoEars()
    async with HandHouse(ears=ears) as house:
        caller = await house.dial(talk(3000))
        await house.tick(50)
        configure(house)
        await house.tick(50)
        configure(house, None, ("en",))
        await house.until(lambda: "user_speak" in house.events())

        last = ears.other.streams[-1]
        assert len(ears.other.streams) == 2
        assert last.audio.size > 3000 * RATE // 1000
        assert [each.closed for each in (*ears.own.streams, *ears.other.streams)] == [True, True, False]
        caller.hang_up()


async def test_of_an_endless_turn_the_latest_minute_is_kept() -> None:
    ears = TwoEars()
    async with HandHouse(ears=ears) as house:
        caller = await house.dial(talk((KEPT_SECONDS + 5) * 1000))
        await house.tick((KEPT_SECONDS + 4) * 50)
        configure(house)
        await house.tick(2)

        told = ears.other.streams[0].audio.size
        assert (KEPT_SECONDS - 1) * RATE < told <= (KEPT_SECONDS + 1) * RATE
        caller.hang_up()
