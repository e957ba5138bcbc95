"""The dial plan: which trunk a call goes out by, how the number is written there, and which number it shows.

What is dialled is written from what was read and judged, never from what the app wrote.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, assert_never

import structlog

from offhook.calls.dial_guard import Callee, CallLimits, CallLists, DialGuard
from offhook.calls.dial_routes import AskedToDial, DialRefused, Purpose
from offhook.protocol.session import ANONYMOUS
from offhook.service.numbers import (
    Address,
    Local,
    Public,
    Target,
    Unreadable,
    as_dialled,
    e164,
    is_emergency,
    is_emergency_in_its_country,
    read_target,
)
from offhook.service.settings import Flow, Settings
from offhook.service.special_ranges import special_range
from offhook.service.trunk_settings import Trunk
from offhook.transports.call_leg import Dial

logger = structlog.get_logger()

Seconds: TypeAlias = float


class DialPlan:
    """Implements DialRoutes.

    `now` gives seconds of a clock that never goes back. `refused` (by rule), `allowed` and `caller_ids_replaced` are
    counted for metrics.
    """

    def __init__(self, settings: Settings, now: Callable[[], Seconds]) -> None:
        outbound = settings.outbound
        self._now: Final = now
        self._flows: Final = {flow.id: flow for flow in settings.flows}
        self._trunks: Final = {trunk.name: trunk for trunk in settings.trunks if trunk.dials}
        self._carriers: Final = {one.name for one in settings.media_stream.accounts if one.transfer == "carrier"}
        self._lists: Final = {flow.id: lists_of(settings, flow) for flow in settings.flows}
        self._guard: Final = DialGuard(
            CallLimits(
                per_session=outbound.calls_per_session,
                per_minute=outbound.calls_per_minute,
                per_day=outbound.calls_per_day,
                at_once=outbound.concurrent,
            )
        )
        self.caller_ids_replaced = 0

    @property
    def refused(self) -> Mapping[str, int]:
        return self._guard.refused

    @property
    def allowed(self) -> int:
        return self._guard.allowed

    def route(self, asked: AskedToDial) -> Dial | DialRefused:
        """The way, which is counted against its limits now; or why there is none, which the service's log says too."""
        way = self._route(asked)
        if isinstance(way, DialRefused):
            logger.warning(
                "dial_refused",
                session_id=asked.session_id,
                flow=asked.flow_id,
                purpose=asked.purpose.value,
                rule=way.rule,
                number=way.number,
                why=way.why,
                remedy=way.remedy,
            )
        return way

    def over(self, asked: AskedToDial) -> None:
        """A call that was routed is over: it is no longer one of those in progress."""
        self._guard.over(asked.flow_id)

    def _route(self, asked: AskedToDial) -> Dial | DialRefused:
        flow = self._flows[asked.flow_id]
        if asked.account in self._carriers and asked.purpose is Purpose.TRANSFER and flow.trunk is None:
            return self._by_the_carrier(asked, flow, asked.account or "")
        trunk = self._trunk(flow, asked)
        if isinstance(trunk, DialRefused):
            return self._guard.refuse(trunk)
        countries = (flow.default_country, trunk.default_country)
        target = read_target(asked.target, flow.default_country or trunk.default_country)
        if isinstance(target, Unreadable):
            return self._guard.refuse(DialRefused("unreadable", target.written, target.why, target.remedy))
        callee = callee_of(target, *countries)
        refusal = self._judge(callee, asked)
        if refusal is not None:
            return refusal
        return Dial(
            trunk=trunk.name,
            target=_written(target, trunk),
            caller=self._caller(asked, flow, trunk),
            caller_name=asked.caller_name,
            ring_seconds=asked.ring_seconds,
            refer_to=_address_at(target, trunk) if self._refers(asked, trunk) else None,
        )

    def _judge(self, callee: Callee, asked: AskedToDial) -> DialRefused | None:
        lists = self._lists[asked.flow_id]
        return self._guard.judge(callee, lists, flow_id=asked.flow_id, session_id=asked.session_id, now=self._now())

    def _by_the_carrier(self, asked: AskedToDial, flow: Flow, account: str) -> Dial | DialRefused:
        """The carrier that streams the caller calls the target itself: a number of the public network, as judged."""
        target = read_target(asked.target, flow.default_country)
        if isinstance(target, Unreadable):
            return self._guard.refuse(DialRefused("unreadable", target.written, target.why, target.remedy))
        if not isinstance(target, Public):
            why = f"media_stream.account[{account}] has transfer 'carrier', and carriers call telephone numbers only."
            remedy = 'Set it to "bridge", and add a [[trunk]] that reaches this target.'
            return self._guard.refuse(DialRefused("no_trunk", callee_of(target).text, why, remedy))
        refusal = self._judge(callee_of(target, flow.default_country), asked)
        if refusal is not None:
            return refusal
        return Dial(
            trunk=account,
            target=target.number,
            caller=self._caller_at_carrier(asked, flow, account),
            caller_name=asked.caller_name,
            ring_seconds=asked.ring_seconds,
            refer_to=f"tel:{target.number}",
        )

    def _caller_at_carrier(self, asked: AskedToDial, flow: Flow, account: str) -> str | None:
        """The number to show there: the one asked for if it is the flow's, else the flow's first (D15); None: the
        carrier's choice."""
        written = (e164(number, flow.default_country) for number in flow.numbers if number != "*")
        own = [number for number in written if number is not None]
        wanted = e164(asked.caller_number, flow.default_country) if asked.caller_number else None
        if wanted in own:
            return wanted
        shown = own[0] if own else None
        if wanted is not None:
            self.caller_ids_replaced += 1
            remedy = f'To allow it, add "{wanted}" to numbers of flow[{flow.id}].'
            logger.warning(
                "caller_id_not_allowed",
                session_id=asked.session_id,
                account=account,
                asked=wanted,
                shown=shown,
                remedy=remedy,
            )
        return shown

    def _refers(self, asked: AskedToDial, trunk: Trunk) -> bool:
        """Whether the caller's own trunk shall call the target."""
        return trunk.transfer == "refer" and asked.purpose is Purpose.TRANSFER and asked.came_by == trunk.name

    def _trunk(self, flow: Flow, asked: AskedToDial) -> Trunk | DialRefused:
        """The flow's own; a transfer goes out by the trunk that the caller came by, anything else by the first."""
        if flow.trunk is not None:
            own = self._trunks.get(flow.trunk)
            if own is None:
                why = f'flow[{flow.id}].trunk is "{flow.trunk}", and no such trunk can dial.'
                return DialRefused("no_trunk", asked.target, why, "Name a [[trunk]] with a registrar or a proxy.")
            return own
        came_by = self._trunks.get(asked.came_by or "") if asked.purpose is Purpose.TRANSFER else None
        found = came_by or next(iter(self._trunks.values()), None)
        if found is None:
            why, remedy = "there is no trunk to dial by.", "Add a [[trunk]] with a registrar or a proxy."
            return DialRefused("no_trunk", asked.target, why, remedy)
        return found

    def _caller(self, asked: AskedToDial, flow: Flow, trunk: Trunk) -> str | None:
        """The number to show: the one asked for where flow or trunk may show it, else the flow's own (D15)."""
        own = own_number(flow, trunk)
        if asked.caller_number and _comparable(asked.caller_number, flow, trunk) not in {None, own, ANONYMOUS}:
            wanted = _comparable(asked.caller_number, flow, trunk) or ""
            if may_show(wanted, flow, trunk):
                return _number_written(wanted, trunk)
            self.caller_ids_replaced += 1
            logger.warning(
                "caller_id_not_allowed",
                session_id=asked.session_id,
                trunk=trunk.name,
                asked=wanted,
                shown=own,
                remedy=f'To allow it, add "{wanted}" to caller_ids of trunk[{trunk.name}].',
            )
        return None if own is None else _number_written(own, trunk)


def _address_at(target: Public | Local | Address, trunk: Trunk) -> str:
    """The target as an address that the trunk can call."""
    written = _written(target, trunk)
    if written.startswith(("sip:", "sips:")):
        return written
    where = trunk.proxy or trunk.registrar
    assert where is not None, "a trunk that dials has one of them"
    return f"sip:{written.replace('#', '%23')}@{where}"


def lists_of(settings: Settings, flow: Flow) -> CallLists:
    """Whom this flow may call: its own lists, or those of all."""
    allow, deny = flow.outbound.allow, flow.outbound.deny
    return CallLists(
        allow=settings.outbound.allow if allow is None else allow,
        deny=settings.outbound.deny if deny is None else deny,
        setting="outbound.allow" if allow is None else f"flow[{flow.id}].outbound.allow",
        denying="outbound.deny" if deny is None else f"flow[{flow.id}].outbound.deny",
    )


def callee_of(target: Public | Local | Address, *countries: str | None) -> Callee:
    """What the guard judges of a target."""
    match target:
        case Public(number):
            return Callee(number, number, None, special_range(number), is_emergency_in_its_country(number))
        case Local(name):
            return Callee(name, name=name, emergency=is_emergency(name, *countries))
        case Address(_, user, _, number):
            special = None if number is None else special_range(number)
            helps = is_emergency(user, *countries) if number is None else is_emergency_in_its_country(number)
            return Callee(str(target), number, user, special, helps)
        case _:
            assert_never(target)


def own_number(flow: Flow, trunk: Trunk) -> str | None:
    """The number that calls of this flow show: its first one, else the first that the trunk allows, else its user."""
    listed = next((number for number in flow.numbers if number != "*"), None)
    if listed is not None:
        return _comparable(listed, flow, trunk)
    allowed = next((entry for entry in trunk.caller_ids if not entry.endswith("*")), None)
    return allowed or trunk.username


def may_show(number: str, flow: Flow, trunk: Trunk) -> bool:
    """Whether calls of this flow may show this number by this trunk."""
    own = {_comparable(listed, flow, trunk) for listed in flow.numbers if listed != "*"}
    return number in own or any(
        number.startswith(entry.removesuffix("*")) if entry.endswith("*") else number == entry
        for entry in trunk.caller_ids
    )


def _comparable(written: str, flow: Flow, trunk: Trunk) -> str | None:
    country = flow.default_country or trunk.default_country
    read: Target = read_target(written, country)
    match read:
        case Public(number):
            return number
        case Local(name):
            return name
        case Address():
            return e164(written, country) or read.user
        case Unreadable():
            return None
        case _:
            assert_never(read)


def _written(target: Public | Local | Address, trunk: Trunk) -> str:
    return _number_written(str(target) if isinstance(target, Address) else _text(target), trunk)


def _text(target: Public | Local) -> str:
    return target.number if isinstance(target, Public) else target.name


def _number_written(number: str, trunk: Trunk) -> str:
    """As the trunk dials; what is no E.164 number is the same everywhere."""
    return as_dialled(number, trunk.dial_format, trunk.default_country) if number.startswith("+") else number
