"""What a caller does, from what he hears."""

from bench.load.caller_script import BRIEF, MS, NEVER, WHOLE, Act, Caller, Step


def connected(script: str = WHOLE.name, hold_ms: int | None = None) -> Caller:
    caller = Caller(1, hold_ms, script)
    caller.connect(1000 * MS)
    return caller


def acts(caller: Caller, at_ms: int, *, is_quiet: bool = False, is_sending: bool = False) -> Act | None:
    return caller.act(at_ms * MS, is_quiet=is_quiet, is_sending=is_sending)


def answered(caller: Caller, from_ms: int, until_ms: int, heard_ms: int) -> None:
    """He talks for a while, and hears something later."""
    caller.talks(from_ms * MS, until_ms * MS)
    assert caller.hears_after_ns == until_ms * MS
    caller.hear(heard_ms * MS)


def test_a_whole_conversation() -> None:
    caller = connected()
    assert caller.hears_after_ns == 0
    caller.hear(1100 * MS)
    assert (caller.hears_after_ns, caller.waits_for_quiet) == (NEVER, True)
    assert acts(caller, 2500, is_quiet=True) is Act.TALK
    answered(caller, 2500, 4000, 5000)
    assert acts(caller, 7000, is_quiet=True) is Act.TALK
    answered(caller, 7000, 8000, 9000)
    assert caller.acts_at_ns == 10_000 * MS
    assert acts(caller, 10_000) is Act.TALK
    caller.talks(10_000 * MS, 12_000 * MS)
    assert (caller.hushes_after_ns, caller.hears_after_ns) == (10_000 * MS, NEVER)
    caller.hush(10_110 * MS)
    caller.hear(13_000 * MS)
    assert acts(caller, 14_000, is_quiet=True) is Act.PRESS
    assert acts(caller, 15_000, is_sending=True) is None
    assert acts(caller, 15_300) is Act.HANG_UP
    assert [caller.heard_from_ns[step.value] for step in WHOLE.heard] == [5000 * MS, 9000 * MS, 13_000 * MS]
    assert caller.silenced_ns - caller.onset_ns == 110 * MS


def test_a_brief_one() -> None:
    caller = connected(BRIEF.name)
    caller.hear(1100 * MS)
    assert (caller.waits_for_quiet, caller.acts_at_ns) == (False, 1400 * MS)
    assert acts(caller, 1400) is Act.TALK
    caller.talks(1400 * MS, 3000 * MS)
    caller.hush(1500 * MS)
    caller.hear(4000 * MS)
    assert acts(caller, 4300) is Act.PRESS
    assert acts(caller, 4600) is Act.HANG_UP


def test_a_held_line_is_left_after_a_while() -> None:
    caller = connected(hold_ms=4000)
    assert caller.acts_at_ns == 5000 * MS
    assert acts(caller, 4999) is None
    assert acts(caller, 5000) is Act.HANG_UP
    assert caller.step is Step.LEAVING


def test_a_caller_who_hears_nothing_gives_up() -> None:
    caller = connected()
    assert acts(caller, 13_000) is Act.HANG_UP
    assert caller.ended == "stuck: greeted"
