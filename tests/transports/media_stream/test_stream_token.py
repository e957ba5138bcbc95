"""Tokens: for one account and one call, until a time, and by nobody else."""

import string
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.transports.media_stream.stream_token import Opened, issued, new_secret, opened

SECRET = bytes(range(32))


def test_a_token_says_what_it_was_issued_for() -> None:
    assert opened(SECRET, issued(SECRET, "main", "CA1", 1700000000)) == Opened("main", "CA1", 1700000000)


def test_a_token_can_stand_in_a_path() -> None:
    """Telnyx names calls with colons and more."""
    token = issued(SECRET, "main", "v3:2EC-70CT_EjlUq3/ä", 1700000000)
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")
    assert opened(SECRET, token) == Opened("main", "v3:2EC-70CT_EjlUq3/ä", 1700000000)


def test_no_two_tokens_are_alike() -> None:
    assert issued(SECRET, "main", "CA1", 1) != issued(SECRET, "main", "CA1", 1)


def test_another_secret_issues_other_tokens() -> None:
    assert opened(new_secret(), issued(SECRET, "main", "CA1", 1)) is None


def test_a_changed_token_is_none() -> None:
    raw = bytearray(urlsafe_b64decode(issued(SECRET, "main", "CA12", 1) + "=="))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        assert opened(SECRET, urlsafe_b64encode(bytes(changed)).decode().rstrip("=")) is None


@pytest.mark.parametrize("text", ["", "x", "ä", "====", "A" * 5000, "\0"])
def test_what_was_never_issued(text: str) -> None:
    assert opened(SECRET, text) is None


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_can_be_tried(text: str) -> None:
    assert opened(SECRET, text) is None
