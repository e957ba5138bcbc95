"""When a recogniser of whole recordings is asked again about a growing turn."""

import numpy as np

from offhook.speech.growing_turn import MAX_TURN_SECONDS, GrowingTurn

RATE = 8000
BLOCK = (np.sin(np.arange(800) / 5) * 5000).astype(np.int16)
SILENCE = np.zeros(800, np.int16)


def asked_at(blocks: int) -> list[int]:
    """After how many blocks of 100 ms it is asked, when each answer is there at once."""
    turn, asked = GrowingTurn(RATE), []
    for count in range(1, blocks + 1):
        turn.add(BLOCK)
        if turn.due:
            asked.append(count)
            assert len(turn.asked()) == count * 800
    return asked


def test_it_is_asked_after_600_ms_and_then_as_often_as_it_has_grown_enough() -> None:
    assert asked_at(40) == [6, 12, 18, 24, 30, 38]


def test_asking_again_stays_within_a_few_times_the_turn() -> None:
    assert sum(asked_at(600)) < 6 * 600


def test_silence_is_not_asked_about() -> None:
    turn = GrowingTurn(RATE)
    for _ in range(20):
        turn.add(SILENCE)

    assert not turn.due
    assert not turn.has_voice
    assert len(turn.whole()) == 16_000


def test_what_is_too_long_is_cut() -> None:
    turn = GrowingTurn(RATE)
    for _ in range(MAX_TURN_SECONDS + 5):
        turn.add(np.zeros(RATE, np.int16))

    assert len(turn.whole()) == MAX_TURN_SECONDS * RATE
