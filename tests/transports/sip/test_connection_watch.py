"""Which connections are given up."""

from offhook.transports.sip.connection_watch import STRANGER_MAY_REST, ConnectionWatch, Seen


def looks(*seen: Seen) -> list[list[int]]:
    """What is overdue at each look at one connection."""
    watch = ConnectionWatch()
    return [watch.overdue([each]) for each in seen]


def test_a_message_must_end_between_two_looks() -> None:
    assert looks(Seen(1, 0, True, False), Seen(1, 0, True, False)) == [[], [1]]
    assert looks(Seen(1, 0, True, False), Seen(1, 1, True, False), Seen(1, 1, False, False)) == [[], [], []]


def test_who_is_expected_may_rest_for_ever_and_a_stranger_may_not() -> None:
    assert looks(*[Seen(1, 5, False, False)] * 50) == [[]] * 50
    assert looks(*[Seen(1, 5, False, True)] * (STRANGER_MAY_REST + 1)) == [[]] * STRANGER_MAY_REST + [[1]]


def test_a_stranger_that_speaks_may_stay() -> None:
    assert looks(*(Seen(1, number, False, True) for number in range(50))) == [[]] * 50


def test_connections_are_apart_and_closed_ones_are_forgotten() -> None:
    watch = ConnectionWatch()
    slow, quick = Seen(1, 0, True, False), Seen(2, 0, False, False)
    assert watch.overdue([slow, quick]) == []
    assert watch.overdue([quick]) == []
    assert watch.overdue([slow, quick]) == []
    assert watch.overdue([slow, quick]) == [1]
