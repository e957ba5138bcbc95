"""What a carrier plays, and what counts as a gap."""

from bench.beside.player import FRAME_NS, Player

TONE = b"\x00" * 160
SILENCE = b"\xff" * 160
SECOND = 50 * FRAME_NS


def test_frames_of_20_ms_in_time_make_gaps_of_20_ms_and_no_silence() -> None:
    player = Player()
    assert player.take(SECOND, TONE) is not None
    played = player.take(SECOND + FRAME_NS, TONE)
    assert played is not None
    assert (played.gap_ns, played.dry_ns) == (FRAME_NS, 0)
    assert player.heard_until_ns == SECOND + 2 * FRAME_NS


def test_a_message_of_40_ms_is_late_after_40_ms() -> None:
    player = Player()
    player.take(SECOND, TONE * 2)
    played = player.take(SECOND + 2 * FRAME_NS, TONE * 2)
    assert played is not None
    assert (played.gap_ns, played.dry_ns, played.frames) == (FRAME_NS, 0, 2)


def test_what_comes_late_leaves_the_line_silent_unless_something_was_in_store() -> None:
    player = Player()
    player.take(SECOND, SILENCE * 3 + TONE)
    stored = player.take(SECOND + 3 * FRAME_NS, TONE)
    assert stored is not None
    assert stored.dry_ns == 0
    late = player.take(SECOND + 8 * FRAME_NS, TONE)
    assert late is not None
    assert late.dry_ns == 3 * FRAME_NS


def test_silence_before_speech_is_heard_before_it() -> None:
    player = Player()
    assert player.take(SECOND, SILENCE * 3) is None
    played = player.take(SECOND, TONE)
    assert played is not None
    assert played.heard_ns == SECOND + 3 * FRAME_NS
    assert played.gap_ns is None


def test_the_pause_between_two_answers_is_no_gap() -> None:
    player = Player()
    player.take(SECOND, TONE)
    player.begin()
    played = player.take(3 * SECOND, TONE)
    assert played is not None
    assert (played.gap_ns, played.dry_ns) == (None, 0)


def test_a_mark_returns_when_all_before_it_was_played_or_dropped() -> None:
    player = Player()
    player.take(SECOND, TONE * 10)
    player.mark("1")
    assert player.due(SECOND + 9 * FRAME_NS) == []
    assert player.due(SECOND + 10 * FRAME_NS) == ["1"]
    player.take(2 * SECOND, TONE * 10)
    player.mark("2")
    player.clear(2 * SECOND + FRAME_NS)
    assert player.due(2 * SECOND + FRAME_NS) == ["2"]
    assert player.heard_until_ns == 2 * SECOND + FRAME_NS
