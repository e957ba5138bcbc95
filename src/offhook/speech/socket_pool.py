"""Sockets to a vendor that are open before they are needed: one that is idle for each address in use, and those that
may serve again."""

from collections import deque
from typing import Final, TypeAlias

import aiohttp

from offhook.speech.engine_tasks import EngineTasks
from offhook.speech.provider_trouble import ProviderTrouble, TroubleCode
from offhook.speech.vendor_socket import SocketAddress, VendorSocket

MOST_IDLE: Final = 16
"""Of one engine. A vendor closes what is idle for long; then there are fewer."""
STALE: Final = frozenset({TroubleCode.CLOSED, TroubleCode.UNREACHABLE})
"""How it shows that an idle socket had been closed at the other end."""

_Place: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


class SocketPool:
    """The sockets of one engine, which `EngineTasks` ends with it. One that was idle may have been closed at the other
    end without our knowing: who takes it asks again on a new one when it fails, STALE, before it said anything."""

    def __init__(self, client: aiohttp.ClientSession, trouble: ProviderTrouble, tasks: EngineTasks) -> None:
        self._client = client
        self._trouble = trouble
        self._tasks = tasks
        self._idle: deque[tuple[_Place, VendorSocket]] = deque()

    def take(self, address: SocketAddress) -> VendorSocket | None:
        """An idle socket to this address, the one that was used last, if there is one."""
        self._drop_ended()
        for place, socket in reversed(self._idle):
            if place == _place(address):
                self._idle.remove((place, socket))
                return socket
        return None

    def connect(self, address: SocketAddress) -> VendorSocket:
        """A new socket, which begins to connect."""
        return VendorSocket(self._client, address, self._trouble, self._tasks)

    def keep(self, address: SocketAddress, socket: VendorSocket) -> None:
        """This socket may serve again. The one that was idle for the longest time makes room."""
        self._drop_ended()
        self._idle.append((_place(address), socket))
        while len(self._idle) > MOST_IDLE:
            self._idle.popleft()[1].close()

    def warm(self, address: SocketAddress) -> None:
        """Have an idle socket to this address."""
        self._drop_ended()
        if all(place != _place(address) for place, _ in self._idle):
            self.keep(address, self.connect(address))

    def forget(self) -> None:
        """The engine has ended, and all sockets with it."""
        self._idle.clear()

    def _drop_ended(self) -> None:
        self._idle = deque((place, socket) for place, socket in self._idle if socket.usable)


def _place(address: SocketAddress) -> _Place:
    return address.url, address.query
