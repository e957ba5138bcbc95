"""`offhook serve --nodes`: several nodes of one machine, Kamailio before them, and one HTTP address.

This process carries no call. It starts the nodes and Kamailio and starts again what ends; it has the HTTP address, and
passes signals on: SIGTERM and SIGINT drain all nodes, SIGHUP one after the other, so that new calls are always taken.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp
import structlog

from offhook.errors import OffhookError, SettingsInvalid
from offhook.service.kamailio_config import kamailio_files
from offhook.service.node_place import LOOPBACK, NodePlace
from offhook.service.nodes_http import NodesHttp
from offhook.service.settings import Settings
from offhook.service.watched_process import Program, WatchedProcess

logger = structlog.get_logger()

ASK_AGAIN_SECONDS: Final = 0.1
# Kamailio asks nodes every second.
NOTICED_SECONDS: Final = 3.0
ANSWER_WITHIN_SECONDS: Final = 1.0
OFFHOOK: Final = (sys.executable, "-m", "offhook")
ENDING: Final = (signal.SIGTERM, signal.SIGINT)
PING: Final = (
    "OPTIONS sip:kamailio@{host}:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{own};branch=z9hG4bKoffhook{own};rport\r\n"
    "Max-Forwards: 1\r\nFrom: <sip:offhook@{host}>;tag=offhook\r\nTo: <sip:kamailio@{host}>\r\n"
    "Call-ID: offhook-{own}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


async def serve_nodes(settings: Settings, config: Path, count: int, *, kamailio: bool) -> None:
    """Serve until SIGTERM or SIGINT and the end of the last call. `kamailio` False: somebody else runs it.

    Raises OffhookError when a node or Kamailio does not start, or the HTTP address is taken.
    """
    places = [NodePlace(number, count, settings.nodes.first_port) for number in range(1, count + 1)]
    for place in places:
        place.settings(settings)
    async with aiohttp.ClientSession() as client, contextlib.AsyncExitStack() as stack:
        nodes = [WatchedProcess(_node(place, config, client)) for place in places]
        program = await stack.enter_async_context(_kamailio(settings, count)) if kamailio else None
        front = None if program is None else WatchedProcess(program)
        http = NodesHttp(
            settings.http.listen, places, nodes, front, client, partial(kamailio_answers, settings.nodes.first_port)
        )
        address = http.bind()
        async with asyncio.TaskGroup() as tasks:
            with _signals(nodes, tasks):
                serving = tasks.create_task(http.serve(), name="http")
                if front is not None:  # first: nodes register by it
                    tasks.create_task(front.run(), name="kamailio")
                    await front.until_ready()
                running = [tasks.create_task(node.run(), name=node.program.name) for node in nodes]
                for node in nodes:
                    await node.until_ready()
                if not nodes[0].is_ending:
                    await asyncio.sleep(NOTICED_SECONDS)
                    logger.info("ready", http=str(address), nodes=count, kamailio=kamailio)
                await asyncio.wait(running)
                serving.cancel()
                if front is not None:
                    front.end()
    logger.info("stopped")


@contextlib.contextmanager
def _signals(nodes: Sequence[WatchedProcess], tasks: asyncio.TaskGroup) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    rolling: list[asyncio.Task[None]] = []

    def end() -> None:
        for task in rolling:
            task.cancel()
        logger.info("draining")
        for node in nodes:
            node.end()

    def roll() -> None:
        if all(task.done() for task in rolling):
            rolling[:] = [tasks.create_task(start_again(nodes), name="rolling restart")]

    for number in ENDING:
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, roll)
    try:
        yield
    finally:
        for number in (*ENDING, signal.SIGHUP):
            loop.remove_signal_handler(number)


async def start_again(nodes: Sequence[WatchedProcess]) -> None:
    """One node after the other: it drains, ends, is started, and gets calls before the next one's turn."""
    for node in nodes:
        logger.info("node_starts_again", process=node.program.name)
        await node.start_again()
        await asyncio.sleep(NOTICED_SECONDS)


# --- the programs


def _node(place: NodePlace, config: Path, client: aiohttp.ClientSession) -> Program:
    return Program(
        f"node {place.number}",
        (*OFFHOOK, "serve", "-c", str(config), "--nodes", str(place.count), "--node", str(place.number)),
        partial(_until_it_answers, place, client),
        "Its last lines in the log say why; offhook check tries every setting.",
    )


async def _until_it_answers(place: NodePlace, client: aiohttp.ClientSession) -> None:
    while True:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(ANSWER_WITHIN_SECONDS), client.get(f"http://{place.http}/readyz") as answer:
                if answer.status == 200:
                    return
        await asyncio.sleep(ASK_AGAIN_SECONDS)


@contextlib.asynccontextmanager
async def _kamailio(settings: Settings, count: int) -> AsyncIterator[Program]:
    """How Kamailio is run, with its files in a folder of their own."""
    found = shutil.which("kamailio", path=f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/local/sbin:/usr/sbin")
    if found is None:
        raise OffhookError(
            "Several nodes need Kamailio before them, and it is not installed.",
            remedy="apt-get install kamailio (for tls: addresses kamailio-tls-modules too); or run one elsewhere with "
            "what `offhook kamailio-config` writes, and add --without-kamailio.",
            code="kamailio_missing",
        )
    with tempfile.TemporaryDirectory(prefix="offhook-kamailio-") as name:
        folder = Path(name)
        config = (await asyncio.to_thread(kamailio_files, settings, count, folder)).write(folder)
        await asyncio.to_thread(_try, found, config)
        yield Program(
            "kamailio",
            (found, "-DD", "-E", "-m", "128", "-M", "8", "-Y", name, "-P", f"{name}/pid", "-f", str(config)),
            partial(_until_kamailio_answers, settings.nodes.first_port),
            f"Is a port of sip.listen or {settings.nodes.first_port} taken (ss -tulpn)? All that Kamailio says is in "
            'the log with logging.level = "debug".',
            orphaned=signal.SIGTERM,
            quiet=True,
        )


def _try(kamailio: str, config: Path) -> None:
    """Have Kamailio read its configuration. Raises SettingsInvalid with what it does not like."""
    read = subprocess.run([kamailio, "-c", "-f", str(config)], capture_output=True, text=True, check=False)
    if read.returncode:
        wrong = [line.strip() for line in read.stderr.splitlines() if "CRITICAL" in line or "ERROR" in line]
        raise SettingsInvalid(
            f"Kamailio cannot run with these settings: {wrong[0] if wrong else read.stderr.strip()[-300:]}",
            remedy="A missing module is another package (tls.so: apt-get install kamailio-tls-modules); an address "
            "must be one of this machine.",
        )


async def _until_kamailio_answers(port: int) -> None:
    while not await kamailio_answers(port):  # noqa: ASYNC110 -- another program's state
        await asyncio.sleep(ASK_AGAIN_SECONDS)


async def kamailio_answers(port: int) -> bool:
    """Whether a Kamailio with our configuration answers on this port of loopback, within a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        asking.bind((LOOPBACK, 0))
        asking.connect((LOOPBACK, port))
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
                question = PING.format(host=LOOPBACK, port=port, own=asking.getsockname()[1])
                await loop.sock_sendall(asking, question.encode())
                return (await loop.sock_recv(asking, 2048)).startswith(b"SIP/2.0 200")
        except (OSError, TimeoutError):
            return False
