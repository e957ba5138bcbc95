"""Where calls may come from (contract D42)."""

from ipaddress import ip_network

import pytest

from offhook.errors import OffhookError
from offhook.service.allowed_sources import allowed_networks, may_call
from offhook.service.settings import LOOPBACK
from offhook.service.settings_file import loads


def test_by_default_only_this_machine_may_call() -> None:
    networks = allowed_networks(loads("", {}))
    assert networks == LOOPBACK
    assert may_call("127.0.0.1", networks)
    assert may_call("::1", networks)
    assert not may_call("192.0.2.1", networks)


def test_trunks_may_call_by_address_network_and_name() -> None:
    networks = allowed_networks(loads('[[trunk]]\nname = "a"\nhosts = ["192.0.2.7", "2001:db8::/32", "localhost"]', {}))
    assert ip_network("192.0.2.7/32") in networks
    assert may_call("2001:db8::5", networks)
    assert not may_call("192.0.2.8", networks)


def test_an_ipv4_address_within_ipv6_counts_as_itself() -> None:
    assert may_call("::ffff:127.0.0.1", LOOPBACK)
    assert not may_call("::ffff:192.0.2.1", LOOPBACK)


def test_a_link_local_address_with_its_zone_is_read() -> None:
    assert not may_call("fe80::1%eth0", LOOPBACK)


def test_everybody_may_call_where_the_operator_says_so() -> None:
    networks = allowed_networks(loads('[sip]\nallow_from = ["0.0.0.0/0"]', {}))
    assert may_call("192.0.2.1", networks)


def test_a_trunk_that_is_not_known_is_explained() -> None:
    with pytest.raises(OffhookError, match=r"trunk\[a\]"):
        allowed_networks(loads('[[trunk]]\nname = "a"\nhosts = ["no-such-host.invalid"]', {}))
