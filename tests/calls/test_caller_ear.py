"""What the recogniser is told and says: words have their times in the call (contract D5); when it changes in the middle
of what the caller says, no audio and no word is lost (D13)."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from offhook.app_links.app_link import ActionsCame
from offhook.calls.call_log import read_call_log
from offhook.calls.caller_ear import BEFORE_ONSET_MS, KEPT_SECONDS
from offhook.conversation.record import order_to_record, replay
from offhook.protocol.actions import ConfigureTranscription
from offhook.speech.transcriber import Heard, Samples, TimedWord, TranscriptionSettings, WordsHeard
from offhook.speech.transcribers.scripted import ScriptedEarSettings, ScriptedStream, ScriptedTranscriber
from offhook.transports.simulator.steps import Wait
from tests.calls.hand_house import RATE, HandHouse, Json, talk


class Listener(ScriptedStream):
    """Keeps what it is told of a turn, and gives its sound as one word with its times. `on_finish` happens before its
    final words."""

    def __init__(self, settings: ScriptedEarSettings, rate: int) -> None:
        super().__init__(settings, rate)
        self.told: list[Samples] = []
        self.closed = False
        self.on_finish: Callable[[], None] = lambda: None

    def begin_turn(self, turn: int) -> None:
        self.told.clear()
        super().begin_turn(turn)

    def hear(self, turn: int, samples: Samples) -> None:
        self.told.append(samples)
        super().hear(turn, samples)

    def finish_turn(self, turn: int) -> None:
        self.on_finish()
        super().finish_turn(turn)

    async def heard(self) -> AsyncGenerator[Heard, None]:
        async for each in super().heard():
            if isinstance(each, WordsHeard) and each.final:
                loud = np.flatnonzero(np.abs(self.audio) > 1000) * 1000 // RATE
                word = TimedWord("la", int(loud[0]), int(loud[-1]), 0.87654)
                yield replace(each, confidence=0.98765, words=(word,))
            else:
                yield each

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


def turns_told(house: HandHouse) -> list[Json]:
    return [event for event in house.app.received if event["type"] == "user_speak"]


def facts(house: HandHouse, kind: str) -> list[Json]:
    return [record["fact"] for record in house.log() if record.get("fact", {}).get("type") == kind]


async def test_words_have_their_times_in_the_call_and_in_its_log(tmp_path: Path) -> None:
    """Contract D5; the log gives the same orders again, to the byte."""
    async with HandHouse(ears=TwoEars(), reports_words=True) as house:
        caller = await house.dial(talk(800), Wait(1500), talk(600))
        await house.until(lambda: len(turns_told(house)) == 2)
        caller.hang_up()
        await house.until(lambda: "session_end" in house.events())

        for event, stopped, ms in zip(turns_told(house), facts(house, "VoiceStopped"), [800, 600], strict=True):
            (word,) = event["words"]
            assert word["end_ms"] == pytest.approx(stopped["last_voice_at"], abs=60)
            assert word["end_ms"] - word["start_ms"] == pytest.approx(ms, abs=60)
            assert (event["confidence"], word["text"], word["confidence"]) == (0.988, "la", 0.877)
        heard = facts(house, "FinalWords")
        assert [fact["confidence"] for fact in heard] == [0.988, 0.988]
        assert [fact["words"] for fact in heard] == [event["words"] for event in turns_told(house)]

    path = tmp_path / "call.jsonl"
    path.write_text("\n".join(next(iter(house.logs.sinks.values())).lines) + "\n", encoding="utf-8")
    call = read_call_log(path)
    assert [order_to_record(order) for order in replay(call.settings, call.facts)] == [
        order for _, order in call.orders
    ]


async def test_what_is_known_of_words_stays_in_the_log_of_a_flow_that_does_not_ask() -> None:
    """(contract D5)"""
    async with HandHouse(ears=TwoEars()) as house:
        caller = await house.dial(talk(800))
        await house.until(lambda: turns_told(house) != [])

        (event,), (fact,) = turns_told(house), facts(house, "FinalWords")
        assert set(event) == {"type", "session", "text", "barged_in"}
        assert (fact["confidence"], len(fact["words"])) == (0.988, 1)
        caller.hang_up()


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
    """And its words have their times in the call all the same."""
    ears = TwoEars()
    async with HandHouse(ears=ears, reports_words=True) as house:
        caller = await house.dial(talk((KEPT_SECONDS + 5) * 1000))
        await house.tick((KEPT_SECONDS + 4) * 50)
        configure(house)
        await house.tick(2)

        told = ears.other.streams[0].audio.size
        assert (KEPT_SECONDS - 1) * RATE < told <= (KEPT_SECONDS + 1) * RATE

        await house.until(lambda: turns_told(house) != [])
        (event,), (stopped,) = turns_told(house), facts(house, "VoiceStopped")
        assert event["words"][0]["end_ms"] == pytest.approx(stopped["last_voice_at"], abs=60)
        caller.hang_up()
