"""The processes of a service, found as an operator would: in /proc."""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

MEDIA = "offhook.media"
VOICE = "offhook.speech.espeak_process"
EAR = "offhook.speech.recogniser_process"
ESTABLISHED = "01"


def children(pid: int) -> dict[int, str]:
    """Number and command line of each child."""
    found: dict[int, str] = {}
    for each in Path("/proc").glob("[0-9]*"):
        try:
            status = (each / "stat").read_text().rpartition(")")[2].split()
            if int(status[1]) == pid and status[0] != "Z":
                found[int(each.name)] = (each / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def child(pid: int, module: str) -> int:
    """The one child that runs this module."""
    (found,) = [number for number, command in children(pid).items() if f"-m {module} " in command]
    return found


async def gone(pids: Iterable[int], *, seconds: float) -> None:
    """Wait until all of these processes have ended; fail when one has not in time."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, ended.set)
        try:
            async with asyncio.timeout(seconds):
                await ended.wait()
        finally:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)


def open_files(pid: int, *, besides: int) -> list[str]:
    """What the process has open, by kind: paths, `udp`, `tcp`, `anon_inode:…`; in order. Left out are established
    connections to the port `besides`, which are kept for a while on purpose."""
    sockets = _sockets(pid, besides)
    found: list[str] = []
    for descriptor in (Path("/proc") / str(pid) / "fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue
        kind, _, number = target.removesuffix("]").partition(":[")
        found.append(sockets.get(number, kind) if kind == "socket" else kind)
    return sorted(name for name in found if name)


def _sockets(pid: int, besides: int) -> dict[str, str]:
    """The kind of each socket by its inode; nothing for those that are left out."""
    found: dict[str, str] = {}
    for kind in ("udp", "tcp", "udp6", "tcp6"):
        for line in (Path("/proc") / str(pid) / "net" / kind).read_text().splitlines()[1:]:
            (
                _,
                _,
                remote,
                state,
                *_,
            ) = fields = line.split()
            kept = state == ESTABLISHED and int(remote.rpartition(":")[2], 16) == besides
            found[fields[9]] = "" if kept else kind
    return found
