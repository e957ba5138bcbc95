"""The edge process: `python -m offhook.transports.media_stream <descriptor of the link>`, started by `edge_process`."""

import asyncio
import ctypes
import gc
import signal
import socket
import sys
from typing import Final

from offhook.transports.media_stream.edge_link import LinkEnd
from offhook.transports.media_stream.edge_messages import EdgeHello, EdgeOrder, EdgeReport
from offhook.transports.media_stream.edge_server import EdgeServer

_PR_SET_PDEATHSIG: Final = 1


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where there is one: a stream costs it a third less."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def die_with_parent() -> None:
    """Let the kernel end this process when its parent ends; elsewhere than on Linux the closed link does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


async def run(sock: socket.socket) -> None:
    """Serve until left alone."""
    link: LinkEnd[EdgeOrder, EdgeReport] = LinkEnd(sock)
    arrived = await link.inbox.get()
    if arrived is None:
        return
    hello, listening = arrived
    assert isinstance(hello, EdgeHello)
    assert listening is not None
    gc.freeze()
    await EdgeServer(hello, link).run(listening)


def main() -> None:
    """Run as a process of its own."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(run(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
