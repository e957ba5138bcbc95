"""The one HTTP address of several nodes: whatever is about a call reaches the node that has it."""

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from typing import Any, Final

import aiohttp
from aiohttp import web

from offhook.control.metrics import CONTENT_TYPE, Metric, as_text
from offhook.protocol.json_codec import BODY_LIMIT
from offhook.service.http_server import bound
from offhook.service.node_place import NodePlace
from offhook.service.setting_types import HostPort
from offhook.service.watched_process import WatchedProcess

ASKED_WITHIN_SECONDS: Final = 5.0
PASSED_ON: Final = frozenset({"authorization", "content-type"})
GIVEN_BACK: Final = frozenset({"content-type", "retry-after", "www-authenticate"})
_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node answered; `node` is its number."""

    node: int
    status: int
    headers: dict[str, str]
    body: bytes

    def given(self) -> web.Response:
        """The same answer to who has asked."""
        return web.Response(status=self.status, headers=self.headers, body=self.body)


class NodesHttp:
    """REST, health and metrics of all nodes. `bind`, then `serve` until cancelled.

    A node does not say which calls the others have, so it is asked: an action goes to one node after the other, until
    one knows the call (each answers in a millisecond). A call is placed by the nodes in turn.
    """

    def __init__(
        self,
        listen: HostPort,
        places: Sequence[NodePlace],
        nodes: Sequence[WatchedProcess],
        kamailio: WatchedProcess | None,
        client: aiohttp.ClientSession,
        kamailio_answers: Callable[[], Awaitable[bool]],
    ) -> None:
        self._listen: Final = listen
        self._places: Final = tuple(places)
        self._nodes: Final = tuple(nodes)
        self._kamailio: Final = kamailio
        self._client: Final = client
        self._kamailio_answers: Final = kamailio_answers
        self._turn: Final = count()

    def bind(self) -> HostPort:
        """Take the address; returns it with its real port. Raises OffhookError when it cannot be had."""
        self._socket = bound(self._listen, socket.SOCK_STREAM)
        return HostPort(self._listen.host, self._socket.getsockname()[1])

    async def serve(self) -> None:
        """Answer until cancelled."""
        app = web.Application(client_max_size=BODY_LIMIT + 1)
        app.router.add_get("/livez", self._live)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v1/sessions", self._sessions)
        app.router.add_post("/v1/sessions/{session_id}/actions", self._actions)
        app.router.add_post("/v3/ai-flows/{flow_id}/call", self._call)
        app.router.add_route("*", "/{rest:.*}", self._call)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=2)
        await runner.setup()
        try:
            await web.SockSite(runner, self._socket).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    # --- what is asked

    async def _live(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _ready(self, _: web.Request) -> web.Response:
        """Ready when at least one node is, and Kamailio answers; what is missing is said in either case."""
        asked, proxied = await asyncio.gather(self._all("/readyz"), self._kamailio_answers())
        reasons = [f"Node {n} does not answer." for n in self._silent(asked)]
        for answer in asked:
            reasons += [f"Node {answer.node}: {reason}" for reason in json.loads(answer.body)["reasons"]]
        if not proxied:
            reasons.append("Kamailio does not answer.")
        ready = proxied and any(answer.status == HTTPStatus.OK for answer in asked)
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response({"ready": ready, "reasons": reasons}, status=status)

    async def _metrics(self, _: web.Request) -> web.Response:
        asked, proxied = await asyncio.gather(self._all("/metrics"), self._kamailio_answers())
        page = as_text(self._own_metrics(proxied)) + merged({each.node: each.body.decode() for each in asked})
        return web.Response(body=page.encode(), headers={"Content-Type": CONTENT_TYPE})

    def _own_metrics(self, proxied: bool) -> Iterator[Metric]:
        yield Metric("offhook_kamailio_answers", "gauge", "1 while Kamailio answers.", float(proxied))
        if self._kamailio is not None:
            about = "How often Kamailio was started again."
            yield Metric("offhook_kamailio_restarts_total", "counter", about, self._kamailio.restarts)
        for place, node in zip(self._places, self._nodes, strict=True):
            label = {"node": str(place.number)}
            yield Metric("offhook_node_up", "gauge", "1 while the node works.", float(node.is_ready), label)
            about = "How often the node was started again."
            yield Metric("offhook_node_restarts_total", "counter", about, node.restarts, label)

    async def _sessions(self, request: web.Request) -> web.Response:
        asked = await self._all("/v1/sessions", _headers(request))
        refused = next((each for each in asked if each.status != HTTPStatus.OK), None)
        if refused is not None:
            return refused.given()
        if not asked:
            return _nobody()
        sessions: list[Any] = [session for each in asked for session in json.loads(each.body)["sessions"]]
        return web.json_response({"sessions": sessions})

    async def _actions(self, request: web.Request) -> web.Response:
        body = await request.read()
        unknown: Answer | None = None
        silent = False
        for place in self._places:
            answer = await self._ask(place, "POST", request.path_qs, _headers(request), body)
            if answer is None:
                silent = True
            elif answer.status != HTTPStatus.NOT_FOUND:
                return answer.given()
            else:
                unknown = answer
        # The node that does not answer may have had the call.
        return _nobody() if unknown is None or silent else unknown.given()

    async def _call(self, request: web.Request) -> web.Response:
        """To the nodes in turn; one that is full, drains or does not answer is passed over."""
        body = await request.read()
        first = next(self._turn)
        refused: Answer | None = None
        for step in range(len(self._places)):
            place = self._places[(first + step) % len(self._places)]
            answer = await self._ask(place, request.method, request.path_qs, _headers(request), body)
            if answer is not None and not _is_full(answer):
                return answer.given()
            refused = answer or refused
        return _nobody() if refused is None else refused.given()

    # --- asking

    def _silent(self, asked: Iterable[Answer]) -> list[int]:
        return sorted({place.number for place in self._places} - {answer.node for answer in asked})

    async def _all(self, path: str, headers: dict[str, str] | None = None) -> list[Answer]:
        """The answers of all nodes that give one."""
        asked = await asyncio.gather(*(self._ask(place, "GET", path, headers or {}, b"") for place in self._places))
        return [answer for answer in asked if answer is not None]

    async def _ask(
        self, place: NodePlace, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> Answer | None:
        try:
            async with (
                asyncio.timeout(ASKED_WITHIN_SECONDS),
                self._client.request(method, f"http://{place.http}{path}", headers=headers, data=body) as answer,
            ):
                given = {name: value for name, value in answer.headers.items() if name.lower() in GIVEN_BACK}
                return Answer(place.number, answer.status, given, await answer.read())
        except (aiohttp.ClientError, TimeoutError):
            return None


def merged(pages: dict[int, str]) -> str:
    """The metrics of several nodes on one page: each number with the label `node`, those of one name together."""
    families: dict[str, list[str]] = {}
    heads: dict[str, list[str]] = {}
    for node, page in pages.items():
        name = ""
        for line in page.splitlines():
            if line.startswith("# "):
                _, kind, name, _ = line.split(" ", 3)
                head = heads.setdefault(name, [])
                if all(not known.startswith(f"# {kind} ") for known in head):
                    head.append(line)
            elif sample := _SAMPLE.fullmatch(line):
                labels = ",".join(filter(None, (f'node="{node}"', sample["labels"])))
                families.setdefault(name, []).append(f"{sample['name']}{{{labels}}} {sample['value']}")
    return "".join(f"{line}\n" for name, lines in families.items() for line in (*heads.get(name, ()), *lines))


def _headers(request: web.Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name.lower() in PASSED_ON}


def _is_full(answer: Answer) -> bool:
    """Whether another node may do what this one would not."""
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return True
    return answer.status == HTTPStatus.TOO_MANY_REQUESTS and b'"code":"full"' in answer.body


def _nobody() -> web.Response:
    error = {"code": "no_node", "message": "No node answers.", "remedy": "Try again; the service's log says why."}
    return web.json_response({"error": error}, status=HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": "2"})
