"""The app behind a WebSocket: one connection a call, events out, actions in at any time (contract section 6)."""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from typing import Final, assert_never

import aiohttp

from offhook.app_links.answer_reading import AnswerReading, note_texts
from offhook.app_links.app_address import AppAddress, identity_headers
from offhook.app_links.app_client import USER_AGENT, RedirectRefused, said
from offhook.app_links.app_link import AppFact
from offhook.app_links.courier import Courier
from offhook.app_links.delivery import TIME_LIMIT_MS, CloseAsked, EventGiven, Finish, Tell, WarmAsked
from offhook.app_links.socket_delivery import (
    CLOSE_WITHIN_MS,
    CONNECT_WITHIN_MS,
    PING_EVERY_MS,
    RECONNECT_FOR_MS,
    SocketDelivery,
)
from offhook.app_links.socket_facts import (
    Connect,
    Connected,
    ConnectFailed,
    Discard,
    Disconnect,
    Dropped,
    MessageRead,
    NotTransmitted,
    Ping,
    PongCame,
    SocketHappened,
    SocketOrder,
    Transmit,
    Transmitted,
)
from offhook.protocol.events import Event
from offhook.protocol.json_codec import BODY_LIMIT, event_to_json
from offhook.protocol.speech_options import OWN_TRANSCRIBERS

FACTS_AHEAD: Final = 64
"""How many tidings the call may be behind before no more messages are read from the app."""

_CLOSING: Final = frozenset(
    {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
)


class WebSocketLink:
    """One call's link to an app that speaks WebSocket.

    Args:
        url: the app's address, ws or wss.
        session_id: the session, in `X-Session-Id` and in every event.
        client: the client that all links share, made by `app_client.open_client`.
        tasks: the parent of all that this link does; it must outlive the call.
        token: goes out as `X-API-TOKEN`.
        connect_within_ms: how long the app has to accept a connection (D30).
        reconnect_for_ms: how long a dropped connection is opened again (D29).
        close_within_ms: how long `session_end` may take to be delivered.
        ping_every_ms: how often the app is pinged, and how long its answer may take (D29).
        default_country, transcribers: how actions are read, see `read_actions`.

    Raises:
        SettingsInvalid: an address or a token that cannot be used.
    """

    def __init__(
        self,
        url: str,
        session_id: str,
        *,
        client: aiohttp.ClientSession,
        tasks: asyncio.TaskGroup,
        token: str | None = None,
        connect_within_ms: int = CONNECT_WITHIN_MS,
        reconnect_for_ms: int = RECONNECT_FOR_MS,
        close_within_ms: int = TIME_LIMIT_MS,
        ping_every_ms: int = PING_EVERY_MS,
        default_country: str | None = None,
        transcribers: Collection[str] = OWN_TRANSCRIBERS,
    ) -> None:
        self._app: Final = AppAddress(url, ("ws", "wss"))
        self._client: Final = client
        self._headers: Final = identity_headers(session_id, token, USER_AGENT)
        self._reading: Final = AnswerReading(session_id, default_country, transcribers)
        self._events: Final[dict[int, Event]] = {}
        self._connections: Final[dict[int, asyncio.Task[None]]] = {}
        self._sockets: Final[dict[int, aiohttp.ClientWebSocketResponse]] = {}
        machine = SocketDelivery(
            str(self._app), random.random(), connect_within_ms, reconnect_for_ms, close_within_ms, ping_every_ms
        )
        self._courier: Final[Courier[SocketHappened, SocketOrder]] = Courier(machine, self._obey, tasks)

    async def warm(self) -> None:
        """Have the connection opened (D36). Returns at once."""
        self._courier.happened(WarmAsked())

    def send(self, number: int, event: Event) -> None:
        self._events[number] = event
        self._courier.happened(EventGiven(number, event.type))

    def facts(self) -> AsyncIterator[AppFact]:
        return self._courier.facts()

    async def close(self) -> None:
        await self._courier.close(CloseAsked())

    # --- the hands

    def _obey(self, order: SocketOrder) -> None:
        match order:
            case Connect(connection):
                self._connections[connection] = self._courier.start(self._connection(connection))
            case Transmit(connection, number):
                self._courier.start(self._transmit(self._sockets.get(connection), number))
            case Ping(connection):
                self._courier.start(self._ping(self._sockets.get(connection)))
            case Disconnect(connection):
                self._courier.start(self._disconnect(self._sockets.get(connection)))
            case Discard(connection):
                self._connections[connection].cancel()
            case Tell() | Finish():
                raise AssertionError("the courier obeys these itself")
            case _:
                assert_never(order)

    async def _connection(self, connection: int) -> None:
        """One connection from its handshake to its end."""
        try:
            socket = await self._client.ws_connect(
                self._app.url,
                headers=self._headers,
                autoping=False,
                compress=0,
                max_msg_size=BODY_LIMIT,
                timeout=aiohttp.ClientWSTimeout(ws_receive=None, ws_close=CLOSE_WITHIN_MS / 1000),
            )
        except (aiohttp.ClientError, OSError) as error:
            self._courier.happened(self._refused(connection, error))
            return
        self._sockets[connection] = socket
        reason = "the call let go of it"
        try:
            self._courier.happened(Connected(connection))
            reason = await self._read(connection, socket)
        finally:
            await socket.close()
            self._courier.happened(Dropped(connection, f"The connection to the app at {self._app} ended: {reason}."))

    def _refused(self, connection: int, error: Exception) -> ConnectFailed:
        hopeless = True
        match error:
            case aiohttp.WSServerHandshakeError(status=401 | 403 as status):
                what = (
                    f"answered {status} to the handshake. Compare the flow's token with the one that the app expects."
                )
            case aiohttp.WSServerHandshakeError(status=status):
                hopeless = status < 500
                what = (
                    f"answered {status} to the handshake. Check the path in the flow's app address and the app's log."
                )
            case RedirectRefused():
                what = f"was not reached: {said(error)}. Set the flow's app to the final address."
            case aiohttp.ClientSSLError() | ssl.SSLError():
                what = f"cannot be trusted ({said(error)}). Give the app a valid certificate."
            case _:
                hopeless = False
                what = f"could not be reached ({said(error)}). Start the app, or correct the flow's app address."
        return ConnectFailed(connection, f"The app at {self._app} {what}", hopeless)

    async def _read(self, connection: int, socket: aiohttp.ClientWebSocketResponse) -> str:
        """Read until the connection ends; why it did."""
        while True:
            message = await socket.receive()
            if message.type in _CLOSING:
                return f"code {socket.close_code}" if message.type is not aiohttp.WSMsgType.ERROR else str(message.data)
            match message.type:
                case aiohttp.WSMsgType.TEXT:
                    self._courier.happened(await self._message(connection, message.data))
                case aiohttp.WSMsgType.BINARY:
                    note = f"The app at {self._app} sent {len(message.data)} bytes as a binary frame; send text frames."
                    self._courier.happened(MessageRead(connection, notes=(note,)))
                case aiohttp.WSMsgType.PING:
                    with suppress(aiohttp.ClientError, OSError):  # the next `receive` learns that it is gone
                        await socket.pong(message.data)
                case aiohttp.WSMsgType.PONG:
                    self._courier.happened(PongCame(connection))
            await self._courier.let_readers_catch_up(FACTS_AHEAD)

    async def _message(self, connection: int, text: str) -> MessageRead:
        read = await self._reading.read(text)
        notes = note_texts(read.notes)
        if read.nonsense is not None:
            notes = (
                f"The app at {self._app} sent something unreadable: {read.nonsense}. Send one JSON document a frame.",
            )
        elif not (read.actions or read.refused or notes):
            notes = (f"The app at {self._app} sent {text[:80]!r}, which is no action.",)
        return MessageRead(connection, read.actions, read.refused, notes)

    async def _transmit(self, socket: aiohttp.ClientWebSocketResponse | None, number: int) -> None:
        if socket is None or socket.closed:
            self._courier.happened(NotTransmitted(number))
            return
        try:
            await socket.send_str(event_to_json(self._events[number]).decode())
        except (aiohttp.ClientError, OSError):
            self._courier.happened(NotTransmitted(number))
        else:
            self._courier.happened(Transmitted(number))

    async def _ping(self, socket: aiohttp.ClientWebSocketResponse | None) -> None:
        if socket is not None:
            with suppress(aiohttp.ClientError, OSError):  # the reader of this connection learns that it is gone
                await socket.ping()

    async def _disconnect(self, socket: aiohttp.ClientWebSocketResponse | None) -> None:
        if socket is not None:
            await socket.close(code=aiohttp.WSCloseCode.OK)
