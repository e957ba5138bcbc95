"""uvicorn inside the service's own loop: no process, no signal handlers and no exit of its own."""

import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

from offhook.errors import OffhookError
from offhook.service.setting_types import HostPort

GRACE_SECONDS: Final = 2


class _QuietServer(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The service decides when it stops (shutdown.py).
        yield


class HttpServer:
    """An ASGI app on one address. `bind`, then `serve` until `stop`."""

    def __init__(self, app: Any, listen: HostPort) -> None:
        self._listen: Final = listen
        self._socket: socket.socket | None = None
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=GRACE_SECONDS
        )
        self._server: Final = _QuietServer(config)

    def bind(self) -> HostPort:
        """Take the address; connections wait from here on. Returns it with its real port.

        Raises OffhookError when it is taken or not this machine's.
        """
        self._socket = bound(self._listen, socket.SOCK_STREAM)
        self._socket.listen(128)
        return HostPort(self._listen.host, self._socket.getsockname()[1])

    async def serve(self) -> None:
        """Answer requests until `stop`; those in progress get two seconds."""
        if self._socket is None:
            self.bind()
        assert self._socket is not None
        with self._socket:
            await self._server.serve(sockets=[self._socket])

    def stop(self) -> None:
        """Let `serve` end."""
        self._server.should_exit = True


def bound(where: HostPort, kind: socket.SocketKind, setting: str = "http.listen") -> socket.socket:
    """A socket on this address. Raises OffhookError, naming the setting, when it cannot be had."""
    try:
        family, _, _, _, address = socket.getaddrinfo(where.host, where.port, type=kind, flags=socket.AI_PASSIVE)[0]
        taken = socket.socket(family, kind)
        if kind == socket.SOCK_STREAM:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(address)
        except OSError:
            taken.close()
            raise
    except OSError as refusal:
        raise OffhookError(
            f"{where} cannot be listened on: {refusal.strerror or refusal}.",
            remedy=_remedy(refusal, setting),
            code="address_refused",
        ) from refusal
    return taken


def _remedy(refusal: OSError, setting: str) -> str:
    match refusal.errno:
        case errno.EADDRINUSE:
            return f"Stop the program that has this port (ss -tulpn shows it), or set {setting} to another one."
        case errno.EACCES:
            return f"Ports below 1024 need the right to take them; set {setting} to a higher one."
        case _:
            return f"Set {setting} to an address of this machine, or to 0.0.0.0 for all of them."
