"""All calls of a node: who is let in, who is in, and the end of all of them.

Admission is counted, not sampled: a call that would be one too many gets 503 at once, and those in progress do not
notice.
"""

import asyncio
import uuid
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

import structlog

from offhook.calls.beat_book import BeatBook
from offhook.calls.call_log import CallLog, CallWatcher, LogSink
from offhook.calls.dial_routes import DialRefused
from offhook.calls.flow import CallOfFlow, Flow, Switchboard
from offhook.calls.heartbeat import Heartbeat, TakesReports
from offhook.calls.live_call import LiveCall
from offhook.calls.media_link import MediaLink
from offhook.calls.outbound import DRAINING, CallWish, NotPlaced, full, no_flow, no_number, no_port, not_allowed
from offhook.calls.placed_leg import PlacedLeg, WayOut
from offhook.errors import OffhookError
from offhook.media.messages import Report, RowFact
from offhook.protocol.actions import Action
from offhook.protocol.json_codec import RefusedAction
from offhook.protocol.session import Session
from offhook.transports.call_leg import CallLeg, Dialler, Listener, Offer

logger = structlog.get_logger()

ENDED_REMEMBERED: Final = 10_000


class OpensLogs(Protocol):
    """Where call logs are kept."""

    def open(self, session_id: str) -> LogSink: ...


class CallRegister:
    """The calls of this node.

    `counted` counts what happened by name, for metrics: `calls_admitted`, `calls_refused_full` …
    """

    def __init__(
        self,
        *,
        link: MediaLink,
        heart: Heartbeat,
        switchboard: Switchboard,
        logs: OpensLogs,
        max_calls: int,
        retry_after_seconds: int,
        way_out: WayOut | None = None,
        watch: Callable[[Session], CallWatcher | None] = lambda _: None,
    ) -> None:
        self._link: Final = link
        self._heart: Final = heart
        self._switchboard: Final = switchboard
        self._logs: Final = logs
        self._max_calls: Final = max_calls
        self._retry_after: Final = retry_after_seconds
        self._way_out: Final = way_out or WayOut(link)
        self._watch: Final = watch
        self._tasks: asyncio.TaskGroup | None = None
        self._calls: Final[dict[str, LiveCall]] = {}
        self._beats: Final[BeatBook[LiveCall]] = BeatBook(heart)
        self._owners: Final[dict[int, LiveCall]] = {}
        self._ended: Final[OrderedDict[str, None]] = OrderedDict()
        self._open: bool = True
        self._nobody: Final = asyncio.Event()
        self._nobody.set()
        self.counted: Final[Counter[str]] = Counter()

    async def run(
        self,
        listeners: Sequence[Listener],
        diallers: Sequence[Dialler] = (),
        *,
        beside: Sequence[TakesReports] = (),
    ) -> None:
        """Take calls from these listeners, place calls by these diallers, and keep the beat, until cancelled. Calls
        still in progress are then cut. `beside`: who lives by the same beat."""
        self._way_out.diallers = tuple(diallers)
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._heart.beat((self, *beside)), name="heartbeat")
            for listener in listeners:
                tasks.create_task(self._admit_all(listener, tasks), name="listener")

    # --- calls coming in

    async def _admit_all(self, listener: Listener, tasks: asyncio.TaskGroup) -> None:
        async for leg in listener.calls():
            self._admit(leg, tasks)

    def _admit(self, leg: CallLeg, tasks: asyncio.TaskGroup) -> None:
        offer = leg.offer
        if offer.replaces is not None:
            if not any(call.replace(offer.replaces, leg) for call in self._calls.values()):
                why = "the call that it would take the place of has no row that another call could be answered on"
                remedy = "Let the telephone that transfers try again once both sides are connected."
                return self._refuse(leg, 481, "Call Does Not Exist", "replaces", why, remedy)
            return None
        if not self._open:
            why, remedy = "the service is being stopped", "None needed: it takes calls again when it runs."
            return self._refuse(leg, 503, "Service Unavailable", "draining", why, remedy)
        if len(self._calls) >= self._max_calls:
            why = f"{self._max_calls} calls are in progress, and no more are allowed"
            remedy = "If the machine can carry more, raise limits.max_calls."
            return self._refuse(leg, 503, "Service Unavailable", "full", why, remedy)
        dialled = self._switchboard.find(offer.called, offer.caller, offer.trunk)
        if dialled is None:
            why, remedy = f"no flow has the number {offer.called}", "Add it to the numbers of a [[flow]]."
            return self._refuse(leg, 404, "Not Found", "no_flow", why, remedy)
        session = _inbound(dialled)
        self.counted["calls_admitted"] += 1
        self._live_on(self._new_call(leg, leg.offer, dialled.flow, session), tasks)
        return None

    def _refuse(self, leg: CallLeg, status: int, reason: str, rule: str, why: str, remedy: str) -> None:
        self.counted[f"calls_refused_{rule}"] += 1
        offer = leg.offer
        came = {"source": offer.source[0], "trunk": offer.trunk, "call_id": offer.call_id}
        logger.warning("call_refused", rule=rule, status=status, called=offer.called, why=why, remedy=remedy, **came)
        leg.refuse(status, reason, self._retry_after if status == 503 else None)

    # --- calls going out

    def place(self, wish: CallWish) -> Session | NotPlaced:
        """Call somebody for a flow: the session of the call, which is being dialled now, or why it is not. What comes
        of it stands in the call's log, and the app hears of it when it is answered (D4)."""
        if self._tasks is None or not self._open:
            return self._not_placed(DRAINING, self._retry_after)
        calling = self._switchboard.calling(wish.flow_id, wish.target)
        if calling is None:
            return self._not_placed(no_flow(wish.flow_id))
        if not calling.caller:
            return self._not_placed(no_number(wish.flow_id))
        if len(self._calls) >= self._max_calls:
            return self._not_placed(full(self._max_calls), self._retry_after)
        flow, session = calling.flow, _outbound(calling)
        asked = wish.asked(session.id, flow.ring_seconds)
        try:
            placed = self._way_out.place(asked)
        except OffhookError as error:
            return self._not_placed(no_port(error), self._retry_after)
        if isinstance(placed, DialRefused):
            return self._not_placed(not_allowed(placed))
        self.counted["calls_placed"] += 1
        about = {} if wish.billing_device is None else {"billing_device": wish.billing_device}
        self._live_on(self._new_call(placed, placed.leg.offer, flow, session, **about), self._tasks)
        return session

    def _not_placed(self, refused: NotPlaced, retry_after: int | None = None) -> NotPlaced:
        self.counted[f"calls_not_placed_{refused.because}"] += 1
        logger.warning("call_not_placed", rule=refused.rule, why=refused.message, remedy=refused.remedy)
        return refused if retry_after is None else replace(refused, retry_after_seconds=retry_after)

    # --- calls in progress

    def _new_call(
        self, leg: CallLeg | PlacedLeg, offer: Offer, flow: Flow, session: Session, **more: object
    ) -> LiveCall:
        settings = flow.settings(session, self._heart.unix_ms)
        about: dict[str, object] = {"flow": flow.id, "transport": offer.transport, "call_id": offer.call_id}
        about |= {"called": offer.called, "caller": offer.caller}
        if offer.trunk is not None:
            about["trunk"] = offer.trunk
        log = CallLog(self._logs.open(session.id), settings, about | more, self._watch(session))
        what = "call_offered" if session.direction == "inbound" else "call_placed"
        logger.info(what, session_id=session.id, flow=flow.id, transport=offer.transport)
        return LiveCall(leg, flow, settings, self._link, self._heart, self._beats, log, self._way_out)

    def _live_on(self, call: LiveCall, tasks: asyncio.TaskGroup) -> None:
        self._calls[call.session.id] = call
        self._nobody.clear()
        tasks.create_task(self._live(call), name=f"call {call.session.id}")

    async def _live(self, call: LiveCall) -> None:
        try:
            with structlog.contextvars.bound_contextvars(session_id=call.session.id):
                await call.run()
        finally:
            del self._calls[call.session.id]
            for lease in [lease for lease, owner in self._owners.items() if owner is call]:
                del self._owners[lease]
            self._ended[call.session.id] = None
            while len(self._ended) > ENDED_REMEMBERED:
                self._ended.popitem(last=False)
            if not self._calls:
                self._nobody.set()
            self._count_end(call)
            self._beats.forget(call)
            call.let_go()

    def _count_end(self, call: LiveCall) -> None:
        outcome = call.outcome
        what = "unknown" if outcome is None else outcome.what
        self.counted["calls_ended"] += 1
        if call.session.direction == "outbound":
            self.counted[f"calls_placed_{what}"] += 1
        code = None if outcome is None else outcome.sip_code
        logger.info("call_ended", session_id=call.session.id, lasted_ms=call.now, outcome=what, sip_code=code)

    # --- the beat

    def take(self, report: Report) -> None:
        """One report: its facts to the calls they belong to, and a beat for every call that has some or wants one."""
        facts: dict[LiveCall, list[RowFact]] = defaultdict(list)
        for fact in report.facts:
            call = self._owner(fact.lease)
            if call is not None:
                facts[call].append(fact)
        for call in dict.fromkeys((*facts, *self._beats.take())):
            if call.session.id in self._calls:
                call.beat(facts.get(call, ()))

    def _owner(self, lease: int) -> LiveCall | None:
        call = self._owners.get(lease)
        if call is None:
            # Most rows are those of calls that came lately.
            call = next((one for one in reversed(self._calls.values()) if lease in one.leases), None)
            if call is not None:
                self._owners[lease] = call
        return call

    # --- what others ask

    @property
    def busy(self) -> bool:
        """Whether any call waits for something other than a tick (see LiveCall.busy)."""
        return any(call.busy for call in self._calls.values())

    def calls_in_progress(self) -> int:
        return len(self._calls)

    def sessions(self) -> tuple[Session, ...]:
        return tuple(call.session for call in self._calls.values())

    def act(
        self,
        session_id: str,
        actions: tuple[Action, ...],
        refused: tuple[RefusedAction, ...],
        after: int | None = None,
    ) -> bool:
        """Run actions out of turn, behind the answer to the event `after`. False: no such call is in progress (see
        `has_ended`)."""
        call = self._calls.get(session_id)
        if call is None:
            return False
        call.act(actions, refused, after)
        return True

    def has_ended(self, session_id: str) -> bool:
        """Whether a call of this id was here lately and is over."""
        return session_id in self._ended

    @property
    def accepts_calls(self) -> bool:
        """Whether `refuse_new_calls` has not been called."""
        return self._open

    def refuse_new_calls(self) -> None:
        """From now on every new call gets 503 (draining)."""
        self._open = False

    async def end_all(self, reason: str, notice: str) -> None:
        """End every call, each with a spoken notice, and wait until all are over."""
        for call in tuple(self._calls.values()):
            call.end(reason, notice)
        await self._nobody.wait()

    async def all_over(self) -> None:
        """Wait until no call is in progress."""
        await self._nobody.wait()


def _inbound(dialled: CallOfFlow) -> Session:
    return Session(
        id=str(uuid.uuid4()),
        account_id=dialled.flow.account_id,
        phone_number=dialled.called,
        direction="inbound",
        from_phone_number=dialled.caller,
        to_phone_number=dialled.called,
    )


def _outbound(calling: CallOfFlow) -> Session:
    return Session(
        id=str(uuid.uuid4()),
        account_id=calling.flow.account_id,
        phone_number=calling.called,
        direction="outbound",
        from_phone_number=calling.caller,
        to_phone_number=calling.called,
    )
