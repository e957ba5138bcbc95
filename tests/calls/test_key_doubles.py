"""A key that is reported several ways is pressed once (contract D16, D38)."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from offhook.calls.key_doubles import WINDOW_MS, KeyDoubles, KeyWay

EVENT, TONES, SIGNALLING = KeyWay.EVENT, KeyWay.TONES, KeyWay.SIGNALLING


def presses(*reports: tuple[int, str, KeyWay]) -> str:
    keys = KeyDoubles()
    return "".join(digit for at, digit, way in reports if keys.is_press(digit, way, at))


def test_each_way_alone_reports_presses() -> None:
    for way in KeyWay:
        assert presses((0, "1", way), (50, "1", way), (120, "2", way)) == "112"


def test_one_press_that_is_reported_every_way_is_one() -> None:
    assert presses((0, "5", EVENT), (40, "5", TONES), (300, "5", SIGNALLING)) == "5"
    assert presses((0, "5", SIGNALLING), (10, "5", TONES), (20, "5", EVENT)) == "5"


def test_two_presses_of_one_key_are_two_whatever_the_order_of_their_reports() -> None:
    assert presses((0, "1", EVENT), (100, "1", SIGNALLING), (250, "1", EVENT), (350, "1", SIGNALLING)) == "11"
    assert presses((0, "1", EVENT), (250, "1", EVENT), (300, "1", SIGNALLING), (400, "1", SIGNALLING)) == "11"


def test_the_same_key_another_way_long_after_is_another_press() -> None:
    assert presses((0, "1", EVENT), (WINDOW_MS, "1", SIGNALLING)) == "1"
    assert presses((0, "1", EVENT), (WINDOW_MS + 1, "1", SIGNALLING)) == "11"


def test_other_keys_are_other_presses() -> None:
    assert presses((0, "1", EVENT), (10, "2", TONES), (20, "3", SIGNALLING)) == "123"


@given(
    digits=st.lists(st.sampled_from("0123456789*#"), min_size=1, max_size=12),
    ways=st.sets(st.sampled_from(list(KeyWay)), min_size=1),
    delays=st.lists(st.integers(0, 400), min_size=36, max_size=36),
)
def test_a_number_typed_is_read_once_however_it_is_reported(
    digits: list[str], ways: set[KeyWay], delays: list[int]
) -> None:
    """A key every 150 ms; each way with a delay of its own that varies, in order."""
    reports: list[tuple[int, str, KeyWay]] = []
    for n, way in enumerate(sorted(ways)):
        last = 0
        for k, digit in enumerate(digits):
            last = max(last, k * 150 + delays[n * 12 + k])
            reports.append((last, digit, way))
    reports.sort(key=lambda report: report[0])
    assert Counter(presses(*reports)) == Counter(digits)
