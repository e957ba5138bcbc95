"""The front door: who is listened to, and how often."""

import pytest

from offhook.transports.sip.admission import Admission
from offhook.transports.sip.front_door import (
    BURST_SECONDS,
    GUEST_FOR_MS,
    MAX_GUESTS,
    STRANGERS_TOGETHER,
    FrontDoor,
    RequestLimits,
)
from offhook.transports.sip.refusals import Rule

INVITE = b"INVITE sip:100@192.0.2.1 SIP/2.0\r\n\r\n"
STRANGER = "203.0.113.9"
LIMITS = RequestLimits(stranger_per_second=1, source_per_second=2, trunk_per_second=3)


@pytest.fixture
def door() -> FrontDoor:
    admission = Admission(
        ["198.51.100.0/24"],
        accepts_loopback=False,
        denies_from=["198.51.100.66"],
        trunks={"carrier": ["192.0.2.0/28"]},
    )
    return FrontDoor(admission, LIMITS)


def knocks(door: FrontDoor, host: str, times: int, now: int = 0) -> int:
    """How many of so many requests are read."""
    return sum(door.knock(INVITE, host, now) is not None for _ in range(times))


def test_a_stranger_is_read_a_few_times_then_seldom_and_each_message_dropped_is_counted(door: FrontDoor) -> None:
    assert knocks(door, STRANGER, 100) == BURST_SECONDS
    assert door.book.counted[Rule.STRANGER] == 90
    assert knocks(door, STRANGER, 100, now=5000) == 5
    assert [line.source for line in door.take_lines()] == [STRANGER]
    assert door.take_lines() == []


def test_many_strangers_are_worth_no_more_than_some(door: FrontDoor) -> None:
    """Forged sources: each has a bucket of its own, all of them have one together."""
    read = sum(knocks(door, f"203.0.{high}.{low}", 1) for high in range(20) for low in range(100))
    assert read == BURST_SECONDS * STRANGERS_TOGETHER


def test_a_site_of_ipv6_is_one_stranger(door: FrontDoor) -> None:
    assert sum(knocks(door, f"2001:db8::{number:x}", 1) for number in range(100)) == BURST_SECONDS
    assert knocks(door, "2001:db8:0:1::1", 1) == 1


@pytest.mark.parametrize(
    "data", [b"ACK sip:100@192.0.2.1 SIP/2.0\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n", b"\r\n\r\n", b""]
)
def test_what_a_stranger_cannot_mean_is_dropped_for_nothing(door: FrontDoor, data: bytes) -> None:
    assert door.knock(data, STRANGER, 0) is None
    assert sum(door.book.counted.values()) == 0
    assert knocks(door, STRANGER, 100) == BURST_SECONDS


def test_who_may_call_is_always_read_and_limited_in_what_it_begins(door: FrontDoor) -> None:
    for host, per_second in (("198.51.100.7", 2), ("192.0.2.3", 3)):
        assert knocks(door, host, 1000) == 1000
        source = door.admission.source(host)
        assert sum(door.takes(source, 0) for _ in range(1000)) == per_second * BURST_SECONDS
        assert sum(door.takes(source, 1000) for _ in range(1000)) == per_second
    assert sum(door.book.counted.values()) == 0


def test_who_is_denied_is_dropped_whatever_else_allows_it(door: FrontDoor) -> None:
    assert knocks(door, "198.51.100.66", 3) == 0
    assert door.book.counted[Rule.DENIED] == 3
    assert [line.rule for line in door.take_lines()] == [Rule.DENIED]


def test_a_guest_is_read_like_an_allowed_source_for_a_day(door: FrontDoor) -> None:
    source = door.admission.source(STRANGER)
    door.welcome(source, 0)
    assert knocks(door, STRANGER, 1000) == 1000
    assert sum(door.takes(source, 0) for _ in range(1000)) == 2 * BURST_SECONDS
    assert door.knock(b"SIP/2.0 200 OK\r\n\r\n", STRANGER, 1) == source
    assert knocks(door, STRANGER, 100, now=GUEST_FOR_MS) == BURST_SECONDS


def test_who_we_send_a_request_to_is_a_guest_unless_it_is_denied(door: FrontDoor) -> None:
    door.expect(STRANGER, 0)
    door.expect("198.51.100.66", 0)
    assert knocks(door, STRANGER, 100) == 100
    assert knocks(door, "198.51.100.66", 100) == 0


def test_guests_are_forgotten_when_there_are_too_many(door: FrontDoor) -> None:
    door.expect(STRANGER, 0)
    for number in range(MAX_GUESTS):
        door.expect(f"10.{number >> 8}.{number & 255}.1", 1)
    assert knocks(door, STRANGER, 100, now=1) == BURST_SECONDS


def test_a_rate_of_zero_is_silence() -> None:
    door = FrontDoor(Admission(accepts_loopback=False), RequestLimits(stranger_per_second=0))
    assert knocks(door, STRANGER, 10) == 0
    assert door.book.counted[Rule.STRANGER] == 10


def test_after_some_wrong_guesses_credentials_are_not_looked_at_for_a_while(door: FrontDoor) -> None:
    source = door.admission.source(STRANGER)
    for _ in range(5):
        assert door.may_guess(source, 0)
        door.guessed_wrong(source, 0)
    assert not door.may_guess(source, 9_000)
    assert door.may_guess(source, 10_000)
