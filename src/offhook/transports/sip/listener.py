"""The SIP listener: sockets in, legs out, and the one timer of this room."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Final

import structlog

from offhook.errors import OffhookError, SettingsInvalid
from offhook.media.messages import Codec
from offhook.transports.call_leg import CallLeg, Dial, LegEnded
from offhook.transports.sip.account import Account, Path
from offhook.transports.sip.admission import NO_TRUNKS, Admission, LogAllowance, Source, Standing
from offhook.transports.sip.bound_address import BoundAddress, parse_address
from offhook.transports.sip.call import Call
from offhook.transports.sip.call_effects import FindWay, Happened, WayFailed
from offhook.transports.sip.client_side import Asker
from offhook.transports.sip.datagrams import RESPONSE, Datagrams
from offhook.transports.sip.dialling import Dialling
from offhook.transports.sip.digest_server import OFFERED
from offhook.transports.sip.endpoints import StreamConnection
from offhook.transports.sip.entrance import Entrance
from offhook.transports.sip.front_door import FrontDoor, RequestLimits
from offhook.transports.sip.front_proxy import FrontProxy
from offhook.transports.sip.hop import ConnectionTrouble, Flow, Ms, Send, TlsPeer, earliest
from offhook.transports.sip.incoming_call import IncomingCall
from offhook.transports.sip.leg import SipLeg
from offhook.transports.sip.offer_answer import CODECS
from offhook.transports.sip.orders import Answer, Order
from offhook.transports.sip.outgoing_call import OutgoingCall
from offhook.transports.sip.path_to import path_to
from offhook.transports.sip.refusal_log import log_refusals
from offhook.transports.sip.refusals import Rule
from offhook.transports.sip.registration import LookUp, NotRegistered, Registered, Registration, Unregistered
from offhook.transports.sip.registration_log import log_trunk, log_unanswered
from offhook.transports.sip.request_checks import Refusal
from offhook.transports.sip.sdes import SrtpRules
from offhook.transports.sip.server_location import TRANSPORTS, ServerLocation, ServersNotFound, Target
from offhook.transports.sip.streams import Doorkeeper, Streams
from offhook.transports.sip.tls import OwnCertificate
from offhook.transports.sip.trunk import SipTrunk
from offhook.transports.sip.trunk_watch import FindServers, TrunkReachable, TrunkUnreachable, TrunkWatch
from offhook.transports.sip.user import User
from offhook.transports.sip.user_agent import MAX_CALLS, CallArrived, Outcome, UserAgent

MAX_CONNECTIONS: Final = 1000
MAX_STRANGERS_CONNECTIONS: Final = 16
LINGER_S: Final = 2.0
TLS_HANDSHAKE: Final = b"TLS handshake"

_log = structlog.get_logger(__name__)


class SipListener:
    """Calls by SIP over UDP, TCP and TLS.

    Args:
        listen: addresses such as `udp:0.0.0.0:5060` and `tls:[::1]:5061`; port 0 takes any free one.
        advertise: the host that peers reach us at, for Contact and Via; None: the address that each peer sees.
        accepts_from: networks (CIDR) that may call, beside loopback and trunks (contract D42).
        accepts_loopback: whether this machine may call too.
        denies_from: networks that are not listened to at all.
        trunks: networks that each trunk's calls come from, by its name.
        limits: how often a source may begin something.
        users: who may call from anywhere with a password, asked for by these `digest_algorithms` (see DigestServer).
        max_calls: calls at a time; further ones get 503 with Retry-After.
        codecs: what may be spoken, in the order of preference (see offer_answer).
        srtp: whether media is encrypted, for all and by trunk.
        tones_of: trunks whose keys are listened for in the audio too.
        accounts: where to be registered, from `start` to `stop`. Their registrars may call.
        watches: trunks without a registrar that are asked now and then whether they are there.
        dns_servers: addresses and ports of DNS servers; none: those of the machine.
        dials_by: the trunks that calls can be placed by.
        certificate: ours, for TLS.
        front: the proxy that listens on `listen` in our place.

    Raises:
        SettingsInvalid: an address or a network cannot be read, or two trunks have one name.
    """

    def __init__(
        self,
        listen: Sequence[str],
        *,
        advertise: str | None = None,
        accepts_from: Sequence[str] = (),
        accepts_loopback: bool = True,
        denies_from: Sequence[str] = (),
        trunks: Mapping[str, Sequence[str]] = NO_TRUNKS,
        limits: RequestLimits | None = None,
        users: Sequence[User] = (),
        digest_algorithms: Sequence[str] = OFFERED,
        max_calls: int = MAX_CALLS,
        codecs: Sequence[Codec] = CODECS,
        srtp: SrtpRules = SrtpRules(),  # noqa: B008 -- a frozen value
        tones_of: Collection[str] = (),
        accounts: Sequence[Account] = (),
        watches: Sequence[Account] = (),
        dns_servers: Sequence[tuple[str, int]] = (),
        dials_by: Sequence[SipTrunk] = (),
        certificate: OwnCertificate | None = None,
        front: FrontProxy | None = None,
    ) -> None:
        self._listen = [parse_address(text) for text in listen]
        if certificate is None and any(each.transport == "tls" for each in self._listen):
            raise SettingsInvalid(
                "sip.listen has an address for TLS, and there is no certificate.",
                remedy="Set sip.tls_certificate and sip.tls_key, or take the address away.",
            )
        self._advertise = advertise
        self._admission = Admission(
            accepts_from, accepts_loopback=accepts_loopback, denies_from=denies_from, trunks=trunks
        )
        self._door = FrontDoor(self._admission, limits)
        entrance = Entrance(self._door, users, digest_algorithms)
        self._agent = UserAgent(max_calls=max_calls, codecs=codecs, srtp=srtp, tones_of=tones_of, entrance=entrance)
        registers = front is None or front.registers
        self._agent.registrations = tuple(Registration(each, random.random, registers=registers) for each in accounts)
        self._agent.watches = tuple(TrunkWatch(account) for account in watches)
        self._location = ServerLocation(dns_servers)
        self._dialling = Dialling(dials_by, front.mark if front else "")
        self._allowance = LogAllowance()
        self._legs: dict[Call, SipLeg] = {}
        self._arrived: asyncio.Queue[SipLeg | None] = asyncio.Queue()
        self._datagrams = Datagrams(advertise, self._knock, self._receive, self._next_link, front)
        self._streams = Streams(
            Doorkeeper(
                self._admits,
                self._connection_opened,
                self._knock,
                self._receive,
                self._disconnected,
                self._expects,
                self._gave_up,
            ),
            advertise=advertise,
            certificate=certificate,
            begin=self._begin,
            link=self._next_link,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._bound: list[BoundAddress] = []
        self._links = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: Ms | None = None
        self._quiet = asyncio.Event()
        self._connects: asyncio.TaskGroup | None = None
        self._stack = contextlib.AsyncExitStack()
        self._stopping = False
        self._closed = False

    @property
    def addresses(self) -> tuple[BoundAddress, ...]:
        """Where it listens, with the ports as bound."""
        return tuple(self._bound)

    @property
    def calls_in_progress(self) -> int:
        return self._agent.calls

    @property
    def transactions(self) -> int:
        return self._agent.transactions

    @property
    def connections(self) -> int:
        """How many connections by TCP and TLS are open."""
        return len(self._streams.remotes)

    @property
    def trunks_registered(self) -> Mapping[str, bool]:
        """For every account by name, whether its registrar sends calls here."""
        return {each.account.name: each.registered for each in self._agent.registrations if each.registers}

    @property
    def trunks_reachable(self) -> Mapping[str, bool]:
        """For every trunk that is watched, by name, whether it answers; those of which it is known."""
        return {each.account.name: each.reachable for each in self._agent.watches if each.reachable is not None}

    @property
    def refused(self) -> Mapping[str, int]:
        """How many messages and connections were turned away at the door, by rule (see `refusals.Rule`)."""
        return {rule.value: count for rule, count in self._door.book.counted.items()}

    async def start(self) -> None:
        """Bind every address. Raises OffhookError when one is taken or not ours; nothing is bound then."""
        self._connects = await self._stack.enter_async_context(asyncio.TaskGroup())
        for address in self._listen:
            try:
                await self._bind(address)
            except SettingsInvalid:
                await self.stop()
                raise
            except OSError as error:
                await self.stop()
                raise OffhookError(
                    f"SIP cannot listen on {address}: {error.strerror or error}.",
                    remedy="Stop what uses the port, or change sip.listen.",
                    code="sip_address_unavailable",
                ) from error
        _log.info("sip_listening", addresses=[str(bound) for bound in self._bound])
        now = self._now()
        self._streams.advance(now)
        for asker in self._agent.askers:
            self._carry_out(self._agent.settle_asker(asker, asker.start(), now), now)

    async def calls(self) -> AsyncIterator[CallLeg]:
        """Calls as they come in, until `stop`."""
        while (leg := await self._arrived.get()) is not None:
            yield leg

    def refuse_new(self, status: int = 503, retry_after: int | None = 30) -> None:
        """Refuse new calls from now on (drain); calls in progress go on."""
        headers = (("Retry-After", str(retry_after)),) if retry_after is not None else ()
        self._agent.refusing = Refusal(status, None, headers)
        _log.info("sip_refusing_new_calls", status=status)

    async def stop(self) -> None:
        """End registrations and stop listening, once all is answered or `LINGER_S` have passed."""
        if self._stopping:
            return
        self._stopping = True
        self._agent.refusing = self._agent.refusing or Refusal(503)
        now = self._now()
        for asker in self._agent.askers:
            self._carry_out(self._agent.settle_asker(asker, asker.leave(), now), now)
        try:
            if self._agent.awaits_answers:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._quiet.wait(), LINGER_S)
            for account in (each.account for each in self._agent.registrations if each.leaving):
                log_unanswered(account)
        finally:
            self._close()
            await self._stack.aclose()
            self._arrived.put_nowait(None)

    def _close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._streams.close()
        self._datagrams.close()

    def dials(self, trunk: str) -> bool:
        """Whether calls can be placed by the trunk of this name."""
        return trunk in self._dialling

    def dial(self, order: Dial, host: str, port: int) -> SipLeg:
        """Place a call (see call_leg.Dialler). Raises KeyError when there is no such trunk."""
        now = self._now()
        call = self._dialling.place(order, (self._advertise or host, port), now)
        leg = self._legs[call] = SipLeg(call, self)
        begun = self._agent.found(call, (), now) if self._stopping else self._agent.begin(call, now)
        self._carry_out(begun, now)
        return leg

    def obey(self, call: Call, order: Order) -> None:
        """Carry out an order on a call (`leg.Line`). What is advertised counts for media too."""
        now = self._now()
        if isinstance(order, Answer) and self._advertise:
            order = replace(order, host=self._advertise)
        self._carry_out(self._agent.obey(call, order, now), now)

    # --- sockets

    async def _bind(self, address: BoundAddress) -> None:
        bound = self._datagrams.listen(address, self._listen)
        self._bound.append(bound or await self._streams.listen(address))

    def _next_link(self) -> int:
        self._links += 1
        return self._links

    def _admits(self, host: str) -> bool:
        """Whether a TLS handshake with this host is begun: it is as much work as many messages, and is counted as one.
        Who may not call gets no further than strangers' messages do."""
        return self._knock(TLS_HANDSHAKE, host) is not None

    def _connection_opened(self, connection: StreamConnection) -> bool:
        """Whether the connection may stay. Strangers get few: enough to be told, too few to crowd others out."""
        host, now = connection.remote[0], self._now()
        strange = not self._door.expects(host, now)
        remotes = self._streams.remotes
        strangers = sum(not self._door.expects(each, now) for each in remotes) if strange else 0
        denied = self._admission.source(host).standing is Standing.DENIED
        if denied or len(remotes) >= MAX_CONNECTIONS or strangers >= MAX_STRANGERS_CONNECTIONS:
            self._door.refuse(host, Rule.DENIED if denied else Rule.CONNECTIONS, now)
            log_refusals(self._door.take_lines())
            return False
        return True

    def _expects(self, host: str) -> bool:
        return self._door.expects(host, self._now())

    def _gave_up(self, host: str) -> None:
        self._door.refuse(host, Rule.UNFINISHED, self._now())
        log_refusals(self._door.take_lines())

    def _disconnected(self, address: tuple[str, int], trouble: ConnectionTrouble) -> None:
        """Tell calls and registrations; once everything is closed nobody is left to tell."""
        if self._closed:
            return
        now = self._now()
        if not trouble.was_up:
            self._note("sip_peer_unreachable", address, why=trouble.reason, remedy=trouble.remedy)
        self._carry_out(self._agent.disconnected(address, now), now)
        for asker in self._agent.askers:
            self._carry_out(self._agent.settle_asker(asker, asker.disconnected(address, trouble, now), now), now)

    # --- messages

    def _knock(self, data: bytes, host: str) -> Source | None:
        source = self._door.knock(data, host, self._now())
        log_refusals(self._door.take_lines())
        return source

    def _receive(self, data: bytes, flow: Flow, source: Source, from_stream: bool) -> None:
        now = self._now()
        outcomes = self._agent.receive(data, flow, now, source=source, from_stream=from_stream)
        self._carry_out(outcomes, now, flow)
        log_refusals(self._door.take_lines())

    def _timer_fired(self) -> None:
        self._timer = self._timer_at = None
        now = self._now()
        self._streams.advance(now)
        self._carry_out(self._agent.advance(now), now)

    def _carry_out(self, outcomes: Sequence[Outcome], now: Ms, flow: Flow | None = None) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Send):
                self._send(outcome)
            elif isinstance(outcome, CallArrived):
                self._arrive(outcome.call)
            elif isinstance(outcome, Happened):
                self._tell(outcome)
            elif isinstance(outcome, LookUp | FindServers):
                self._begin(self._look_up(outcome.asker))
            elif isinstance(outcome, FindWay):
                self._begin(self._find_way(outcome.call))
            elif isinstance(outcome, WayFailed):
                self._location.avoid(Target(outcome.hop.transport, outcome.hop.address))
            elif isinstance(outcome, Registered | NotRegistered | Unregistered | TrunkReachable | TrunkUnreachable):
                log_trunk(outcome)
                if isinstance(outcome, NotRegistered) and outcome.hop is not None and outcome.trouble.try_elsewhere:
                    self._location.avoid(Target(outcome.hop.transport, outcome.hop.address))
            else:
                self._note(outcome.event, flow.remote if flow else None, detail=outcome.detail)
        if self._agent.awaits_answers:
            self._quiet.clear()
        else:
            self._quiet.set()
        self._arm(now)

    def _arrive(self, call: IncomingCall) -> None:
        if call.replaces is not None:
            call.offer = replace(call.offer, replaces=self._legs.get(call.replaces))
        leg = self._legs[call] = SipLeg(call, self)
        offer = call.offer
        _log.info("sip_call_arrived", call_id=offer.call_id, called=offer.called, source=offer.source)
        self._arrived.put_nowait(leg)

    def _tell(self, happened: Happened) -> None:
        leg = self._legs.get(happened.call)
        if leg is None:
            return
        leg.tell(happened.fact)
        if isinstance(happened.fact, LegEnded):
            del self._legs[happened.call]
            _log.info("sip_call_ended", call_id=leg.offer.call_id, **asdict(happened.fact))

    def _send(self, send: Send) -> None:
        hop = send.hop
        if not send.data.startswith(RESPONSE):
            self._door.expect(hop.address[0], self._now())
        if self._datagrams.carries(hop):
            self._datagrams.send(send)
        else:
            self._streams.send(send)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        """A task that ends with the listener."""
        assert self._connects is not None
        task = self._connects.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- registrars

    async def _look_up(self, asker: Asker) -> None:
        account = asker.account
        try:
            targets = await self._location.find(account.host, account.port, account.transport, transports=self._spoken)
        except ServersNotFound as error:
            now = self._now()
            outcomes = self._agent.settle_asker(asker, asker.not_found(str(error), now), now)
        else:
            if isinstance(asker, Registration):
                self._admission.admit(account.name, [target.address[0] for target in targets])
            paths = [path for target in targets if (path := self._path_to(target, account.tls)) is not None]
            now = self._now()
            outcomes = self._agent.settle_asker(asker, asker.found(paths, now), now)
        self._carry_out(outcomes, now)

    async def _find_way(self, call: OutgoingCall) -> None:
        paths = await self._dialling.ways(call.trunk, self._location, self._spoken, self._path_to)
        now = self._now()
        self._carry_out(self._agent.found(call, paths, now), now)

    @property
    def _spoken(self) -> tuple[str, ...]:
        """The transports that we listen on, the one that is wanted first."""
        bound = {each.transport for each in self._bound}
        return tuple(each for each in TRANSPORTS if each in bound)

    def _path_to(self, target: Target, tls: TlsPeer) -> Path | None:
        return path_to(target, self._bound, self._datagrams.endpoints, self._advertise, tls)

    # --- time

    def _now(self) -> Ms:
        return int(asyncio.get_running_loop().time() * 1000)

    def _arm(self, now: Ms) -> None:
        """Have the one timer fire at the earliest deadline of all machines."""
        deadline = earliest((self._agent.next_deadline, self._streams.next_deadline))
        if deadline == self._timer_at or self._closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        loop = asyncio.get_running_loop()
        self._timer = None if deadline is None else loop.call_later(max(0, deadline - now) / 1000, self._timer_fired)

    def _note(self, event: str, remote: tuple[str, int] | None, **details: object) -> None:
        """A warning, at most so many a minute of each kind."""
        left_out = self._allowance.take(event, self._now())
        if left_out is not None:
            more = {"left_out": left_out} if left_out else {}
            _log.warning(event, source=remote, **details, **more)
