"""Addresses that a command would listen on and cannot have, said with the option that names another one."""

import socket
from typing import Final

from offhook.errors import OffhookError
from offhook.service.http_server import bound
from offhook.service.setting_types import HostPort
from offhook.service.settings import Settings

OTHER_SIP: Final = "--sip udp:127.0.0.1:5070"
OTHER_HTTP: Final = "--http 127.0.0.1:8081"


def sip_refused(settings: Settings, command: str) -> OffhookError | None:
    """Why SIP cannot listen where these settings say; None: it can."""
    for place in settings.sip.listen:
        kind = socket.SOCK_DGRAM if place.transport == "udp" else socket.SOCK_STREAM
        try:
            bound(HostPort(place.host, place.port), kind).close()
        except OffhookError as error:
            return _refused(f"SIP ({place.transport}): {error.message}", f"{command} {OTHER_SIP}")
    return None


def http_refused(settings: Settings, command: str) -> OffhookError | None:
    """The same for HTTP."""
    try:
        bound(settings.http.listen, socket.SOCK_STREAM).close()
    except OffhookError as error:
        return _refused(f"HTTP: {error.message}", f"{command} {OTHER_HTTP}")
    return None


def _refused(message: str, instead: str) -> OffhookError:
    return OffhookError(
        message,
        remedy=f"Stop the program that has the port (ss -tulpn shows it), or name another place: {instead}",
        code="address_refused",
    )
