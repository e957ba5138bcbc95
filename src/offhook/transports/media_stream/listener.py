"""Where streamed calls come in: legs for the streams that the edge reports, and an edge as long as the house takes
calls.

A stream that breaks off leaves its leg connected for `grace_seconds`; a stream of the same call takes it up again. So
it is when the edge dies: its legs break off, and another edge is started on the same address.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Final, assert_never

import structlog

from offhook.errors import OffhookError
from offhook.media.messages import MediaTerms
from offhook.transports.call_leg import CallLeg, Dial, Offer
from offhook.transports.media_stream.edge_messages import (
    CallerGone,
    CallHandedOver,
    CallKey,
    CarryStream,
    CutPlayback,
    EdgeCounted,
    EdgeHello,
    EdgeNoted,
    EdgeReady,
    EdgeReport,
    EndCall,
    ForgetCall,
    HandOver,
    HandOverRefused,
    StopEdge,
    StreamKey,
    StreamLost,
    StreamStarted,
    StreamStopped,
)
from offhook.transports.media_stream.edge_process import EdgeProcess
from offhook.transports.media_stream.inbound_audio import PAYLOAD_TYPES
from offhook.transports.media_stream.leg import LegState, MediaStreamLeg
from offhook.transports.media_stream.settings import StreamSettings
from offhook.transports.media_stream.stream_token import new_secret

logger = structlog.get_logger()

READY_WITHIN_SECONDS: Final = 20.0
STOPS_WITHIN_SECONDS: Final = 10.0
STARTED_AGAIN_AFTER: Final = (0.0, 0.5, 1.0, 2.0, 5.0)
"""Seconds before another edge is started, when edges die soon after they were started."""
LIVED_LONG_S: Final = 30.0
STREAMS_A_RUN: Final = 1 << 32
WAITING_CONNECTIONS: Final = 512
HAND_OVER_SLACK_S: Final = 30.0
"""A carrier that calls somebody for a caller says what became of it within so long after the last ring."""
UNKNOWN_REMEDY: Final = "The carrier did not say what became of it: its own log of the call does."
AWAY: Final = frozenset({LegState.HANDED_OVER, LegState.COMING_BACK, LegState.WITH_TARGET})


class MediaStreamListener:
    """A `Listener`. Its address is plain HTTP: a proxy with TLS stands in front, and is what `settings.public_url`
    names.

    Args:
        listen: host and port; port 0 is any free one.
        grace_seconds: how long a call waits for its stream to be there again.
    """

    def __init__(self, settings: StreamSettings, listen: tuple[str, int], *, grace_seconds: float) -> None:
        self._settings: Final = settings
        self._listen: Final = listen
        self._grace: Final = grace_seconds
        self._secret: Final = new_secret()
        self._listening: socket.socket | None = None
        self._edge: EdgeProcess | None = None
        self._runs = 0
        self._started_at = 0.0
        self._failures = 0
        self._stopping: Final = asyncio.Event()
        self._edge_over: Final = asyncio.Event()
        self._legs: Final[dict[CallKey, MediaStreamLeg]] = {}
        self._by_stream: Final[dict[int, MediaStreamLeg]] = {}
        self._waits_until: Final[dict[CallKey, float]] = {}
        self._counts: Final[Counter[str]] = Counter()
        self._streams = 0
        self._is_read = False

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        assert self._listening is not None
        return self._listen[0], int(self._listening.getsockname()[1])

    @property
    def stream_counts(self) -> Mapping[str, int]:
        """What happened, by name, for metrics."""
        return self._counts

    @property
    def streams_open(self) -> int:
        """How many streams there are now."""
        return self._streams

    @property
    def edge_pid(self) -> int | None:
        """The number of the edge process; None while there is none."""
        return None if self._edge is None else self._edge.pid

    # --- a Listener

    async def start(self) -> None:
        """Bind, and start the edge. Raises OffhookError: `address_refused`, `edge_failed`."""
        self._listening = _bound(self._listen)
        self._start_edge()
        assert self._edge is not None
        try:
            report = await self._edge.next_until(asyncio.get_running_loop().time() + READY_WITHIN_SECONDS)
        except TimeoutError:
            report = None
        if not isinstance(report, EdgeReady):
            self._let_go()
            raise OffhookError(
                "The process for media streams did not start.",
                remedy="Its last words are on standard error, above. Is the extra 'server' installed whole?",
                code="edge_failed",
            )
        logger.info("media_streams_listening", address="{}:{}".format(*self.address), public=self._settings.public_url)

    async def calls(self) -> AsyncIterator[CallLeg]:
        self._is_read = True
        while not self._stopping.is_set() or self._edge is not None:
            if self._edge is None:
                await self._start_again()
                continue
            try:
                report = await self._edge.next_until(min(self._waits_until.values(), default=None))
            except TimeoutError:
                self._give_up_waiting()
                continue
            if report is None:
                self._edge_has_gone()
                continue
            leg = self._take(report)
            self._give_up_waiting()
            if leg is not None:
                yield leg

    async def stop(self) -> None:
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._edge is not None and self._is_read:
            self._edge.send(StopEdge())
            try:
                async with asyncio.timeout(STOPS_WITHIN_SECONDS):
                    await self._edge_over.wait()
            except TimeoutError:
                logger.warning("media_stream_edge_killed", remedy="Calls may still be open at their carriers.")
        self._let_go()

    # --- what legs ask for

    def carry(self, stream: int, row: socket.socket) -> None:
        if self._edge is not None:
            self._edge.send(CarryStream(stream), row)

    def cut(self, stream: int) -> None:
        if self._edge is not None:
            self._edge.send(CutPlayback(stream))

    def end(self, call: CallKey, *, heard_out: bool) -> None:
        stream = self._forget(call)
        if self._edge is not None:
            self._edge.send(EndCall(call, stream, heard_out))

    def hand_over(self, call: CallKey, order: Dial) -> None:
        leg = self._legs.get(call)
        if leg is None or self._edge is None:
            if leg is not None:
                leg.hand_over_refused()
            return
        seconds = round(order.ring_seconds)
        self._waits_until[call] = self._now() + seconds + HAND_OVER_SLACK_S
        self._edge.send(HandOver(call, leg.stream, order.target, order.caller, seconds))

    def forget(self, call: CallKey) -> None:
        self._forget(call)
        if self._edge is not None:
            self._edge.send(ForgetCall(call))

    # --- what the edge reports

    def _take(self, report: EdgeReport) -> CallLeg | None:
        match report:
            case StreamStarted():
                return self._stream_started(report)
            case StreamKey(stream, digit):
                if (leg := self._by_stream.get(stream)) is not None:
                    leg.key_pressed(digit)
            case StreamStopped(stream):
                if (leg := self._by_stream.get(stream)) is not None:
                    self._stream_stopped(stream, leg)
            case StreamLost(stream):
                self._stream_lost(stream)
            case HandOverRefused(call) | CallHandedOver(call) | CallerGone(call):
                if (leg := self._legs.get(call)) is not None:
                    self._hand_over_told(report, leg)
            case EdgeNoted(event, warning, fields):
                logger.log(30 if warning else 20, event, **fields)
            case EdgeCounted(counts, streams):
                self._counts.update(counts)
                self._streams = streams
            case EdgeReady():
                pass
            case _:
                assert_never(report)
        return None

    def _stream_started(self, started: StreamStarted) -> CallLeg | None:
        leg = self._legs.get(started.call)
        if leg is not None and leg.state is LegState.WITH_TARGET:
            self.forget(started.call)  # nobody is here for him any more
            return None
        if leg is None:
            leg = MediaStreamLeg(_offer(started), started.call, started.stream, self)
            self._legs[started.call] = self._by_stream[started.stream] = leg
            return leg
        self._by_stream.pop(leg.stream, None)
        self._by_stream[started.stream] = leg
        self._waits_until.pop(started.call, None)
        if started.codec is not leg.offer.terms.codec:
            logger.warning("media_stream_changed_codec", call=started.call[1], codec=started.codec)
            leg.stream = started.stream
            leg.hang_up("failed")
            return None
        self._counts["streams_resumed"] += 1
        logger.info("media_stream_resumed", call=started.call[1], account=started.call[0])
        leg.came_back(started.stream)
        return None

    def _hand_over_told(self, report: HandOverRefused | CallHandedOver | CallerGone, leg: MediaStreamLeg) -> None:
        match report:
            case HandOverRefused() if leg.said_stop:
                self._carrier_ended(leg, "caller_hung_up")
            case HandOverRefused():
                leg.hand_over_refused()
                self._waits_until.pop(leg.call, None)
                if leg.state is LegState.BROKEN_OFF:
                    self._waits_until[leg.call] = self._now() + self._grace
            case CallHandedOver(call, answered, sip_code):
                self._waits_until.pop(call, None)
                if answered:
                    leg.target_answered()
                elif leg.state is LegState.HANDED_OVER:
                    leg.target_not_reached(sip_code)
                    self._waits_until[call] = self._now() + self._grace
            case CallerGone():
                if leg.state is not LegState.WITH_TARGET:
                    self._carrier_ended(leg, "caller_hung_up")
            case _:
                assert_never(report)

    def _stream_stopped(self, stream: int, leg: MediaStreamLeg) -> None:
        """The carrier takes down the stream of a call for which it calls somebody; else the call is over."""
        if leg.state in AWAY:
            self._by_stream.pop(stream)
            leg.said_stop = True
            leg.broke_off()
        else:
            self._carrier_ended(leg, "caller_hung_up")

    def _stream_lost(self, stream: int) -> None:
        leg = self._by_stream.pop(stream, None)
        if leg is None or leg.stream != stream:
            return
        if leg.state in AWAY:
            leg.broke_off()
            return
        if leg.state is LegState.OFFERED:
            self._carrier_ended(leg, "cancelled")
            return
        self._counts["streams_broken_off"] += 1
        logger.warning("media_stream_broke_off", call=leg.call[1], account=leg.call[0], grace_seconds=self._grace)
        self._waits_until[leg.call] = self._now() + self._grace
        leg.broke_off()

    def _carrier_ended(self, leg: MediaStreamLeg, cause: str) -> None:
        self._forget(leg.call)
        if self._edge is not None:
            self._edge.send(ForgetCall(leg.call))
        leg.carrier_ended(cause)

    def _give_up_waiting(self) -> None:
        """Calls whose stream has not come back in time are over; the carrier is told, if it still has them."""
        now = self._now()
        for call in [call for call, until in self._waits_until.items() if until <= now]:
            self._counts["streams_not_resumed"] += 1
            leg = self._legs[call]
            if leg.state is LegState.HANDED_OVER:
                # He may be talking to whom the carrier called: he is let be.
                logger.warning("media_stream_transfer_unknown", call=call[1], account=call[0], remedy=UNKNOWN_REMEDY)
                self._carrier_ended(leg, "failed")
                continue
            self.end(call, heard_out=False)
            leg.carrier_ended("failed")

    def _forget(self, call: CallKey) -> int:
        """The call is over; gives its stream, 0 when it has none."""
        self._waits_until.pop(call, None)
        leg = self._legs.pop(call, None)
        if leg is None or self._by_stream.pop(leg.stream, None) is None:
            return 0
        return leg.stream

    # --- the edge process

    def _start_edge(self) -> None:
        assert self._listening is not None
        hello = EdgeHello(self._settings, self._secret, first_stream=self._runs * STREAMS_A_RUN + 1)
        self._edge = EdgeProcess(hello, self._listening)
        self._runs += 1
        self._started_at = self._now()

    def _edge_has_gone(self) -> None:
        assert self._edge is not None
        self._edge.end()
        self._edge = None
        self._streams = 0
        if self._stopping.is_set():
            self._edge_over.set()
            return
        for stream in tuple(self._by_stream):
            self._stream_lost(stream)
        self._counts["edge_restarts"] += 1
        self._failures = 0 if self._now() - self._started_at > LIVED_LONG_S else self._failures + 1

    async def _start_again(self) -> None:
        after = STARTED_AGAIN_AFTER[min(self._failures, len(STARTED_AGAIN_AFTER)) - 1] if self._failures else 0.0
        logger.error("media_stream_edge_ended", started_again_after_s=after, remedy="Its last words are above.")
        try:
            async with asyncio.timeout(after):
                await self._stopping.wait()
        except TimeoutError:
            try:
                self._start_edge()
            except OSError as refusal:
                logger.error("media_stream_edge_not_started", why=str(refusal), remedy="Has the machine memory left?")
                self._failures += 1

    def _let_go(self) -> None:
        if self._edge is not None:
            self._edge.end()
        if self._listening is not None:
            self._listening.close()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _offer(started: StreamStarted) -> Offer:
    account, call_id = started.call
    return Offer(
        transport="media_stream",
        called=started.called or "",
        caller=started.caller,
        caller_name=started.caller_name,
        terms=MediaTerms(started.codec, PAYLOAD_TYPES[started.codec]),
        source=started.source,
        call_id=call_id,
        headers=started.parameters | {"account": account, "streamId": started.stream_id},
        account=account,
    )


def _bound(listen: tuple[str, int]) -> socket.socket:
    host, port = listen
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(WAITING_CONNECTIONS)
    except OSError as refusal:
        sock.close()
        raise OffhookError(
            f"Media streams cannot listen on {host}:{port}: {refusal.strerror}.",
            remedy="Stop the program that has the port (ss -tlpn shows it), or set media_stream.listen.",
            code="address_refused",
        ) from refusal
    sock.setblocking(False)
    return sock
