"""Two nodes behind a real Kamailio, on free ports: `offhook serve --nodes 2`."""

import os
from pathlib import Path

from tests.peers.baresip import free_port
from tests.peers.service import LogLine, Service

FIRST_PORT = 25000 + os.getpid() % 500 * 8
KEY = "a-key-for-tests"
SILENT = """
[flow.speech]
transcriber = "scripted"
synthesizer = ["scripted"]
"""


def two_nodes(folder: Path, app: str, *, sip: str = "", limits: str = "", more: str = "", flow: str = "") -> Service:
    """Two nodes with one app; see Service."""
    return Service(
        folder,
        app=app,
        host="127.0.0.1",
        port=free_port(),
        sip=sip,
        http=f'keys = ["{KEY}"]',
        more=f"{limits}\n\n[nodes]\nfirst_port = {FIRST_PORT}\n{more}",
        flow=flow,
        arguments=("--nodes", "2"),
    )


async def node_of(service: Service, call_id: str) -> int:
    """The node that has this call, by the service's log, which may come after the answer."""
    line = await service.until("sip_call_arrived", where=lambda arrived: arrived["call_id"] == call_id)
    return int(line["node"])


def nodes_used(service: Service) -> list[int]:
    """The node of each call so far, in the order in which they came."""
    return [int(line["node"]) for line in _arrivals(service)]


def _arrivals(service: Service) -> list[LogLine]:
    return [line for line in service.lines if line.get("event") == "sip_call_arrived"]


def pid_of(service: Service, node: int) -> int:
    """The process of this node as it was started last."""
    ready = [line for line in service.lines if line.get("event") == "process_ready"]
    return int([line["pid"] for line in ready if line["process"] == f"node {node}"][-1])
