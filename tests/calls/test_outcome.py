"""How a call ended, in one word."""

import pytest

from offhook.calls.outcome import outcome_of


@pytest.mark.parametrize(
    ("cause", "connected", "what"),
    [
        ("caller_hung_up", True, "answered"),
        ("failed", True, "answered"),
        ("busy", False, "busy"),
        ("rejected", False, "rejected"),
        ("no_answer", False, "no_answer"),
        ("failed", False, "failed"),
        ("cancelled", False, "cancelled"),
        ("app", False, "cancelled"),
    ],
)
def test_an_outcome_says_whether_anybody_answered_and_why_not(cause: str, connected: bool, what: str) -> None:
    outcome = outcome_of(cause, 486, connected=connected)
    assert outcome.record() == {"outcome": what, "ended_by": cause, "sip_code": 486}
