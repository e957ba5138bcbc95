"""The edge process, seen from the service process: started, spoken to, heard, ended."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from offhook.transports.media_stream.edge_link import LinkEnd, link_pair
from offhook.transports.media_stream.edge_messages import EdgeHello, EdgeOrder, EdgeReport

_PACKAGE_ROOT: Final = Path(__file__).parents[3]
_ENDS_WITHIN_SECONDS: Final = 3.0


class EdgeProcess:
    """One run of the edge. It ends with this object's `end`, with the service process, or by accident; that it has gone
    is the last thing to be read."""

    def __init__(self, hello: EdgeHello, listening: socket.socket) -> None:
        own, theirs = link_pair()
        with theirs:
            self._process: Final = subprocess.Popen(
                [sys.executable, "-m", "offhook.transports.media_stream", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                env={**os.environ, "PYTHONPATH": _search_path()},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the service alone
            )
        self._link: Final[LinkEnd[EdgeReport, EdgeOrder]] = LinkEnd(own)
        self._link.send(hello, listening)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def send(self, order: EdgeOrder, sock: socket.socket | None = None) -> None:
        """Send an order, with a duplicate of its socket. Nothing, when the process has gone."""
        self._link.send(order, sock)

    async def next_until(self, deadline: float | None) -> EdgeReport | None:
        """The next report; None when the process has gone. `deadline` is a time of the loop; None: never.

        Raises:
            TimeoutError: nothing came in time.
        """
        async with asyncio.timeout_at(deadline):
            arrived = await self._link.inbox.get()
        return None if arrived is None else arrived[0]

    def end(self) -> None:
        """End the process now, whatever it does, and let go of it."""
        self._link.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(_ENDS_WITHIN_SECONDS)


def _search_path() -> str:
    """Where the process finds this very package first."""
    given = os.environ.get("PYTHONPATH")
    return str(_PACKAGE_ROOT) if not given else os.pathsep.join((str(_PACKAGE_ROOT), given))
