"""What is each node's own."""

import pytest

from offhook.errors import SettingsInvalid
from offhook.service.node_place import NodePlace
from offhook.service.settings_file import loads

SETTINGS = """
[sip]
rtp_ports = "10001-10020"
[limits]
stranger_requests_per_second = 1
max_calls = 7
[media_stream]
listen = "127.0.0.1:8090"
public_url = "https://calls.example.com"
[[media_stream.account]]
name = "bridge"
carrier = "bridge"
stream_key = "0123456789abcdef01234567"
"""


def test_ports_for_media_are_divided_by_pairs() -> None:
    settings = loads(SETTINGS, {})
    parts = [NodePlace(number, 3, 15060).settings(settings).sip.rtp_ports for number in (1, 2, 3)]
    assert [str(part) for part in parts] == ["10002-10007", "10008-10013", "10014-10019"]


def test_too_few_ports_are_said() -> None:
    with pytest.raises(SettingsInvalid, match="too small for 11 nodes"):
        NodePlace(1, 11, 15060).settings(loads(SETTINGS, {}))


def test_what_all_sources_may_ask_for_is_shared_and_calls_are_counted_by_node() -> None:
    limits = NodePlace(2, 4, 15060).settings(loads(SETTINGS, {})).limits
    assert (limits.stranger_requests_per_second, limits.max_calls) == (0.25, 7)


def test_the_first_node_has_the_media_streams_and_registers() -> None:
    first, second = NodePlace(1, 2, 15060), NodePlace(2, 2, 15060)
    settings = loads(SETTINGS, {})
    assert first.settings(settings).media_stream.listen is not None
    assert second.settings(settings).media_stream.listen is None
    assert (first.front().registers, second.front().registers) == (True, False)


def test_ports_and_marks_go_by_number() -> None:
    front = NodePlace(3, 4, 15060).front()
    assert (front.own, front.proxy, front.mark) == (("127.0.0.1", 15063), ("127.0.0.1", 15060), "n3-")
    assert str(NodePlace(3, 4, 15060).http) == "127.0.0.1:15063"


@pytest.mark.parametrize(
    ("available", "cores"),
    [
        ({0, 1, 2, 3}, [{0, 1}, {2, 3}]),
        ({0, 1}, [{0}, {1}]),
        ({4, 5, 6}, [{4}, {5}]),
        ({0}, [{0}, {0}]),
    ],
)
def test_cores_are_shared_where_there_are_less_than_nodes(available: set[int], cores: list[set[int]]) -> None:
    assert [set(NodePlace(number, 2, 15060).cores(available)) for number in (1, 2)] == cores
