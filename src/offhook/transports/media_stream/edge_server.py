"""The edge: an HTTP server that carriers ask what to do with a call, and whose WebSockets they stream calls to.

Two addresses an account: `/media-stream/<account>/answer`, for signed questions, and `/media-stream/<account>/<key>`,
for streams, where the key is a token from an answer, or the account's own stream key.
"""

import asyncio
import hmac
import socket
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Final, assert_never
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import WSMsgType, web

from offhook.transports.media_stream.answer_document import connect, hang_up
from offhook.transports.media_stream.carrier_rest import hang_up as hang_up_by_rest
from offhook.transports.media_stream.dialect import Dialect, NotUnderstood, Started
from offhook.transports.media_stream.edge_hand_over import HandOvers
from offhook.transports.media_stream.edge_link import LinkEnd
from offhook.transports.media_stream.edge_messages import (
    CallKey,
    CarryStream,
    CutPlayback,
    EdgeCounted,
    EdgeHello,
    EdgeNoted,
    EdgeOrder,
    EdgeReady,
    EdgeReport,
    EndCall,
    ForgetCall,
    HandOver,
    StopEdge,
    StreamStarted,
)
from offhook.transports.media_stream.edge_stream import EdgeStream
from offhook.transports.media_stream.settings import StreamAccount
from offhook.transports.media_stream.signatures import is_from_telnyx, is_from_twilio
from offhook.transports.media_stream.stream_token import issued, opened
from offhook.transports.media_stream.telnyx import TelnyxDialect
from offhook.transports.media_stream.twilio import TwilioDialect

PATH: Final = "/media-stream"
LARGEST_QUESTION: Final = 65536
"""Bytes of a carrier's question what to do with a call."""
LONGEST_CALL_ID: Final = 256
MESSAGES_BEFORE_START: Final = 20
PING_SECONDS: Final = 20.0
ENDED_REMEMBERED: Final = 10_000
ENDED_REMEMBERED_S: Final = 120.0
"""So long streams of a call that is over are turned away."""
SIGNATURES_AT_ONCE: Final = 8
"""Telnyx's signatures take a few ms each to check: so many questions wait for that, more get 503."""
COUNT_EVERY_S: Final = 1.0
SAID_EVERY_S: Final = 10.0
"""Of wrong signatures one is told of in so long."""


class EdgeServer:
    """One run of the edge."""

    def __init__(self, hello: EdgeHello, link: LinkEnd[EdgeOrder, EdgeReport]) -> None:
        self._settings: Final = hello.settings
        self._secret: Final = hello.secret
        self._link: Final = link
        self._accounts: Final = {account.name: account for account in hello.settings.accounts}
        self._twilio: Final = TwilioDialect()
        self._telnyx: Final = TelnyxDialect()
        self._streams: Final[dict[int, EdgeStream]] = {}
        self._carrying: Final[dict[CallKey, EdgeStream]] = {}
        self._ended: Final[OrderedDict[CallKey, float]] = OrderedDict()
        self._next_stream = hello.first_stream
        self._sockets = 0
        self._checking = 0
        self._quiet_until = 0.0
        self._counts: Final[Counter[str]] = Counter()
        self._hand_overs: Final = HandOvers(f"{hello.settings.public_url}{PATH}", hello.secret, link, self._counts)

    async def run(self, listening: socket.socket) -> None:
        """Serve until the link is closed."""
        app = web.Application(client_max_size=LARGEST_QUESTION)
        app.router.add_route("POST", f"{PATH}/{{account}}/answer", self._answer)
        app.router.add_route("GET", f"{PATH}/{{account}}/answer", self._answer)
        app.router.add_route("POST", f"{PATH}/{{account}}/answer/{{about}}/{{token}}", self._answer_about)
        app.router.add_route("GET", f"{PATH}/{{account}}/{{key}}", self._stream)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            async with aiohttp.ClientSession() as client, asyncio.TaskGroup() as self._tasks:
                await web.SockSite(runner, listening).start()
                self._link.send(EdgeReady())
                counter = self._tasks.create_task(self._count(), name="counts")
                while (arrived := await self._link.inbox.get()) is not None and not isinstance(arrived[0], StopEdge):
                    self._obey(*arrived, client)
                counter.cancel()
        finally:
            await runner.cleanup()
            self._tell_counts()

    # --- the service

    def _obey(self, order: EdgeOrder, row: socket.socket | None, client: aiohttp.ClientSession) -> None:
        match order:
            case CarryStream(number):
                assert row is not None
                self._carry(number, row)
            case CutPlayback(number):
                if (stream := self._streams.get(number)) is not None:
                    stream.cut()
            case EndCall(call, number, heard_out):
                self._remember_end(call)
                stream = self._streams.get(number)
                self._tasks.create_task(self._end(call, stream, heard_out, client), name=f"end of {call[1]}")
            case ForgetCall(call):
                self._remember_end(call)
            case HandOver(call, number):
                work = self._hand_overs.ask(order, self._accounts[call[0]], self._streams.get(number), client)
                self._tasks.create_task(work, name=f"transfer of {call[1]}")
            case EdgeHello() | StopEdge():
                pass
            case _:
                assert_never(order)

    def _carry(self, number: int, row: socket.socket) -> None:
        stream = self._streams.get(number)
        if stream is None:
            row.close()  # gone again; the service is told so
            return
        before = self._carrying.get(stream.call)
        self._carrying[stream.call] = stream
        if before is not None:
            self._replace(before)
        stream.carry(row, before)

    def _replace(self, before: EdgeStream) -> None:
        """A newer stream has the call."""
        before.drop()
        self._tasks.create_task(before.close(), name=f"stream {before.number} closes")

    async def _end(
        self, call: CallKey, stream: EdgeStream | None, heard_out: bool, client: aiohttp.ClientSession
    ) -> None:
        if stream is not None:
            await stream.finish(heard_out=heard_out)
        failure = await hang_up_by_rest(client, self._accounts[call[0]], call[1])
        if failure is not None:
            self._counts["hang_ups_failed"] += 1
            self._note("media_stream_hang_up_failed", call=call[1], account=call[0], why=failure)
        if stream is not None:
            await stream.close()

    def _remember_end(self, call: CallKey) -> None:
        now = self._now()
        self._carrying.pop(call, None)
        self._hand_overs.forget(call)
        self._ended[call] = now + ENDED_REMEMBERED_S
        self._ended.move_to_end(call)
        while self._ended and (len(self._ended) > ENDED_REMEMBERED or next(iter(self._ended.values())) < now):
            self._ended.popitem(last=False)

    async def _count(self) -> None:
        told = -1
        while True:
            await asyncio.sleep(COUNT_EVERY_S)
            if self._counts or told != self._sockets:
                told = self._sockets
                self._tell_counts()

    def _tell_counts(self) -> None:
        self._link.send(EdgeCounted(dict(self._counts), self._sockets))
        self._counts.clear()

    def _note(self, event: str, **fields: str) -> None:
        self._link.send(EdgeNoted(event, True, fields))

    def _note_now_and_then(self, event: str, **fields: str) -> None:
        """What strangers can make happen is not said each time: it is counted."""
        now = self._now()
        if self._quiet_until <= now:
            self._quiet_until = now + SAID_EVERY_S
            self._note(event, **fields)

    # --- a carrier asks

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        account, fields = await self._asked(request)
        call_id = fields.get("CallSid", "")
        if not 0 < len(call_id) <= LONGEST_CALL_ID or not call_id.isprintable():
            raise web.HTTPBadRequest(text="There is no usable CallSid.")
        self._counts["answers"] += 1
        return self._what_to_do(account, call_id, fields)

    async def _answer_about(self, request: web.Request) -> web.StreamResponse:
        """What a carrier asks, and says, of somebody whom it calls for a caller."""
        account, fields = await self._asked(request)
        token = opened(self._secret, request.match_info["token"])
        if token is None or token.account != account.name:
            raise web.HTTPForbidden(text="This address is not of this call.")
        call = (account.name, token.call_id)
        document: str | None = None
        match request.match_info["about"]:
            case "dial":
                document = self._hand_overs.document(call)
            case "answered":
                self._hand_overs.told(call, fields)
                return web.Response(status=204)
            case "over":
                document = hang_up() if self._hand_overs.over(call, fields) else None
            case _:
                raise web.HTTPNotFound
        if document is not None:
            return web.Response(text=document, content_type="text/xml")
        return self._what_to_do(account, token.call_id, fields)

    async def _asked(self, request: web.Request) -> tuple[StreamAccount, dict[str, str]]:
        """Which account's carrier asks, and what it says; raises what refuses anybody else."""
        account = self._accounts.get(request.match_info["account"])
        if account is None or not account.answers:
            raise web.HTTPNotFound
        body = await request.read()
        form = parse_qsl(body.decode(errors="replace"), keep_blank_values=True) if request.method == "POST" else []
        if not await self._is_signed(account, request, body, form):
            self._counts["answers_refused_signature"] += 1
            self._note_now_and_then("media_stream_bad_signature", account=account.name, source=str(request.remote))
            raise web.HTTPForbidden(text="The signature is wrong: see docs/run-the-service/media-streams.md.")
        return account, dict(request.query) | dict(form)

    def _what_to_do(self, account: StreamAccount, call_id: str, fields: Mapping[str, str]) -> web.Response:
        if (account.name, call_id) in self._ended:
            return web.Response(text=hang_up(), content_type="text/xml")
        token = issued(self._secret, account.name, call_id, int(time.time()) + self._settings.token_seconds)
        # Not every carrier passes on the query of a stream's address: the token is part of its path.
        stream_url = f"{_as_socket(self._settings.public_url)}{PATH}/{account.name}/{token}"
        parameters = {
            "called": fields.get("To", ""),
            "caller": fields.get("From", ""),
            "callerName": fields.get("CallerName", ""),
        }
        again = f"{self._settings.public_url}{PATH}/{account.name}/answer"
        document = connect(account.carrier, account.codec, stream_url, parameters, again)
        return web.Response(text=document, content_type="text/xml")

    async def _is_signed(
        self, account: StreamAccount, request: web.Request, body: bytes, form: list[tuple[str, str]]
    ) -> bool:
        assert account.signing_key is not None
        if account.carrier != "telnyx":
            url = self._settings.public_url + request.raw_path
            return is_from_twilio(account.signing_key, url, form, request.headers)
        if self._checking >= SIGNATURES_AT_ONCE:
            self._counts["answers_refused_busy"] += 1
            raise web.HTTPServiceUnavailable
        self._checking += 1
        try:
            return await asyncio.to_thread(
                is_from_telnyx, account.signing_key, body, dict(request.headers.items()), time.time()
            )
        finally:
            self._checking -= 1

    # --- a stream comes

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        account = self._accounts.get(request.match_info["account"])
        bound_to = None if account is None else self._admitted(account, request.match_info["key"])
        if account is None or bound_to is None:
            self._counts["streams_refused_token"] += 1
            raise web.HTTPForbidden(text="This address is not, or no longer, open.")
        if self._sockets >= self._settings.max_streams:
            self._counts["streams_refused_full"] += 1
            raise web.HTTPServiceUnavailable(text="media_stream.max_streams are open.")
        ws = web.WebSocketResponse(
            max_msg_size=self._settings.max_message_bytes, heartbeat=PING_SECONDS, timeout=2.0, compress=False
        )
        await ws.prepare(request)
        self._sockets += 1
        try:
            await self._carried(ws, account, bound_to, request)
        finally:
            self._sockets -= 1
        return ws

    def _admitted(self, account: StreamAccount, key: str) -> str | None:
        """The one call that may come with this key, "" for any; None: none."""
        if account.stream_key is not None and hmac.compare_digest(account.stream_key.encode(), key.encode()):
            return ""
        token = opened(self._secret, key)
        if token is None or token.account != account.name:
            return None
        known = (account.name, token.call_id) in self._carrying
        return token.call_id if known or time.time() <= token.expires_at else None

    async def _carried(
        self, ws: web.WebSocketResponse, account: StreamAccount, bound_to: str, request: web.Request
    ) -> None:
        dialect: Dialect = self._telnyx if account.carrier == "telnyx" else self._twilio
        started = await self._started(ws, dialect)
        if started is None:
            return
        call = (account.name, started.call_id)
        if bound_to and bound_to != started.call_id:
            self._counts["streams_refused_token"] += 1
            await ws.close(code=1008, message=b"this address is for another call")
            return
        if call in self._ended:
            self._counts["streams_refused_ended"] += 1
            await ws.close(message=b"the call is over")
            return
        for older in tuple(self._streams.values()):
            # One that carries the call does so until the new one can.
            if older.call == call and self._carrying.get(call) is not older:
                self._replace(older)
        transport = request.transport
        if transport is None:
            return  # gone again
        number, self._next_stream = self._next_stream, self._next_stream + 1
        stream = EdgeStream(
            number,
            call,
            started,
            dialect=dialect,
            little_endian=account.low_byte_first,
            ws=ws,
            transport=transport,
            link=self._link,
            counts=self._counts,
        )
        self._streams[number] = stream
        self._counts["streams_started"] += 1
        self._link.send(_as_report(stream, transport))
        try:
            await stream.run()
        finally:
            del self._streams[number]

    async def _started(self, ws: web.WebSocketResponse, dialect: Dialect) -> Started | None:
        """The start of the stream; None, and the socket closed, when it does not come."""
        try:
            async with asyncio.timeout(self._settings.start_within_seconds):
                for _ in range(MESSAGES_BEFORE_START):
                    message = await ws.receive()
                    if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                        break
                    fact = dialect.read(message.data)
                    if isinstance(fact, Started):
                        return fact
                    if isinstance(fact, NotUnderstood):
                        self._counts[f"odd_{fact.oddity}"] += 1
        except TimeoutError:
            pass
        self._counts["streams_never_started"] += 1
        await ws.close(code=1008, message=b"no start")
        return None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _as_report(stream: EdgeStream, transport: asyncio.Transport) -> StreamStarted:
    started = stream.started
    peer = transport.get_extra_info("peername")
    return StreamStarted(
        stream=stream.number,
        call=stream.call,
        stream_id=started.stream_id,
        codec=started.codec,
        called=started.called,
        caller=started.caller,
        caller_name=started.caller_name,
        parameters=started.parameters,
        source=(str(peer[0]), int(peer[1])) if peer else ("", 0),
    )


def _as_socket(url: str) -> str:
    """The address of a WebSocket on the same server."""
    return "ws" + url.removeprefix("http")
