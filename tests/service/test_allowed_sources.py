"""Where calls may come from (contract D42)."""

from ipaddress import ip_network

import pytest

from offhook.errors import OffhookError
from offhook.service.allowed_sources import networks_of_trunks
from offhook.service.settings_file import loads


def test_trunks_may_call_by_address_network_and_name() -> None:
    assert networks_of_trunks(loads("", {})) == {}
    text = (
        '[[trunk]]\nname = "a"\nhosts = ["192.0.2.7", "2001:db8::/32", "localhost"]\n'
        '[[trunk]]\nname = "b"\nhosts = ["192.0.2.8"]'
    )
    networks = networks_of_trunks(loads(text, {}))
    assert networks["a"][:2] == (ip_network("192.0.2.7/32"), ip_network("2001:db8::/32"))
    assert {str(network) for network in networks["a"][2:]} & {"127.0.0.1/32", "::1/128"}
    assert networks["b"] == (ip_network("192.0.2.8/32"),)


def test_a_trunk_that_is_not_known_is_explained() -> None:
    with pytest.raises(OffhookError, match=r"trunk\[a\]"):
        networks_of_trunks(loads('[[trunk]]\nname = "a"\nhosts = ["no-such-host.invalid"]', {}))
