"""What is said of an address that a command cannot have."""

import socket

from offhook.service.app_process import RunningApp
from offhook.service.commands.dev import dev_settings
from offhook.service.commands.taken_places import http_refused, sip_refused

APP = RunningApp("ws://127.0.0.1:1/", None)


def test_a_taken_port_is_said_with_the_option_that_names_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = dev_settings(APP, sip=("udp:127.0.0.1:0", f"tcp:127.0.0.1:{port}"), http=f"127.0.0.1:{port}")
        no_sip, no_http = sip_refused(settings, "offhook demo"), http_refused(settings, "offhook demo")
    assert no_sip is not None
    assert no_http is not None
    assert f"127.0.0.1:{port} cannot be listened on" in no_sip.message
    assert "offhook demo --sip udp:127.0.0.1:5070" in no_sip.remedy
    assert "offhook demo --http 127.0.0.1:8081" in no_http.remedy


def test_nothing_is_said_of_free_ports() -> None:
    settings = dev_settings(APP, sip=("udp:127.0.0.1:0",), http="127.0.0.1:0")
    assert sip_refused(settings, "offhook dev") is None
    assert http_refused(settings, "offhook dev") is None
