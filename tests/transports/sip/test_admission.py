"""Who may call, and how loudly the rest is refused (contract D42)."""

import socket

import pytest

from offhook.errors import SettingsInvalid
from offhook.transports.sip.admission import Admission, LogAllowance, Source, Standing


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
    with pytest.raises(SettingsInvalid, match=r"sip\.deny_from") as refused:
        Admission(denies_from=["scanner"])
    assert "deny_from = " in refused.value.remedy


def test_the_trunk_is_known_by_its_networks_and_by_the_addresses_of_its_registrar() -> None:
    admission = Admission(["192.0.2.0/24"], trunks={"carrier": ["192.0.2.0/28"], "pbx": ["127.0.0.1", "192.0.2.1"]})
    admission.admit("registered", ["198.51.100.7"])
    assert admission.source("192.0.2.1") == Source("192.0.2.1", Standing.TRUNK, "carrier")
    assert admission.source("127.0.0.1") == Source("127.0.0.1", Standing.TRUNK, "pbx")
    assert admission.source("::ffff:198.51.100.7") == Source("198.51.100.7", Standing.TRUNK, "registered")
    assert admission.source("192.0.2.77") == Source("192.0.2.77", Standing.ALLOWED)
    admission.admit("registered", ["198.51.100.8"])
    assert admission.source("198.51.100.7").standing is Standing.STRANGER


def test_denied_networks_win_over_trunks_allowed_networks_and_this_machine() -> None:
    admission = Admission(
        ["203.0.113.0/24"], denies_from=["203.0.113.9", "127.0.0.66", "192.0.2.0/24"], trunks={"t": ["192.0.2.1"]}
    )
    for host in ("203.0.113.9", "127.0.0.66", "::ffff:192.0.2.1"):
        assert admission.source(host).standing is Standing.DENIED
    assert admission.accepts("203.0.113.10")


def test_a_site_is_an_address_or_64_bits_of_ipv6() -> None:
    assert Admission().source("192.0.2.1").site == "192.0.2.1"
    assert Admission().source("2001:db8:1:2:3:4:5:6").site == "2001:db8:1:2::/64"
    assert Admission().source("fe80::1%eth0").site == "fe80::/64"


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
