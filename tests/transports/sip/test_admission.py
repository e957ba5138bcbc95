"""Who may call, and how loudly the rest is refused (contract D42)."""

import socket

import pytest

from offhook.errors import SettingsInvalid
from offhook.transports.sip.admission import Admission, LogAllowance


@pytest.mark.parametrize(
    ("host", "accepted"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("203.0.113.7", True),
        ("::ffff:203.0.113.7", True),
        ("203.0.114.7", False),
        ("2001:db8::7", True),
        ("fe80::1%eth0", False),
    ],
)
def test_loopback_and_named_networks_are_accepted(host: str, accepted: bool) -> None:
    admission = Admission(["203.0.113.0/24", "2001:db8::7"])
    assert admission.accepts(host) is accepted
    assert admission.accepts(host) is accepted


def test_what_is_no_network_is_refused_with_a_remedy() -> None:
    with pytest.raises(SettingsInvalid, match=r"sip\.allow_from") as refused:
        Admission(["carrier"])
    assert "allow_from = " in refused.value.remedy


def test_many_lines_become_few_with_a_count() -> None:
    allowance = LogAllowance(lines=2, window_ms=1000)
    assert [allowance.take("a", now) for now in (0, 1, 2, 3)] == [0, 0, None, None]
    assert allowance.take("b", 4) == 0
    assert allowance.take("a", 1000) == 2
    assert allowance.take("a", 1001) == 0


def test_every_address_of_this_machine_is_this_machine() -> None:
    """(contract D42) A softphone beside the service often sends from the network's address, not from loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        own = probe.getsockname()[0]
    assert Admission([]).accepts(own)
    assert not Admission([], accepts_loopback=False).accepts(own)
    assert not Admission([]).accepts("192.0.2.1")
