"""Where calls may come from (contract D42)."""

from ipaddress import ip_network

import pytest

from offhook.errors import OffhookError
from offhook.service.allowed_sources import allowed_networks
from offhook.service.settings_file import loads


def test_by_default_no_network_beside_this_machine_may_call() -> None:
    assert allowed_networks(loads("", {})) == ()


def test_networks_and_trunks_may_call_by_address_network_and_name() -> None:
    text = (
        '[sip]\nallow_from = "10.0.0.0/8"\n[[trunk]]\nname = "a"\nhosts = ["192.0.2.7", "2001:db8::/32", "localhost"]'
    )
    networks = allowed_networks(loads(text, {}))
    assert networks[:3] == (ip_network("10.0.0.0/8"), ip_network("192.0.2.7/32"), ip_network("2001:db8::/32"))
    assert {str(network) for network in networks[3:]} & {"127.0.0.1/32", "::1/128"}


def test_a_trunk_that_is_not_known_is_explained() -> None:
    with pytest.raises(OffhookError, match=r"trunk\[a\]"):
        allowed_networks(loads('[[trunk]]\nname = "a"\nhosts = ["no-such-host.invalid"]', {}))
