"""Which way a call goes out, or why it may not (contract D15)."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from offhook.calls.dial_routes import AskedToDial, DialRefused, Purpose
from offhook.service.dial_plan import DialPlan
from offhook.service.settings import Settings
from offhook.service.special_ranges import special_range
from offhook.transports.call_leg import Dial

CARRIER: dict[str, Any] = {"name": "carrier", "registrar": "sip.example.net", "username": "u"}
FLOW: dict[str, Any] = {"id": "f", "app": "http://localhost/", "numbers": ["+4921155660"], "default_country": "DE"}


def plan(*trunks: dict[str, Any], allow: tuple[str, ...] = ("+49",), flow: Any = None, **outbound: Any) -> DialPlan:
    tree = {"trunk": trunks or (CARRIER,), "flow": [FLOW | (flow or {})], "outbound": {"allow": allow, **outbound}}
    return DialPlan(Settings.model_validate(tree), lambda: 0.0)


def asked(
    target: str, *, caller: str = "", came_by: str | None = None, purpose: Purpose = Purpose.TRANSFER
) -> AskedToDial:
    return AskedToDial("f", "s", purpose, target, caller, "", 30, came_by)


def dialled(routes: DialPlan, target: str, **more: Any) -> Dial:
    way = routes.route(asked(target, **more))
    assert isinstance(way, Dial), str(way)
    return way


def refused(routes: DialPlan, target: str, **more: Any) -> DialRefused:
    way = routes.route(asked(target, **more))
    assert isinstance(way, DialRefused)
    return way


@pytest.mark.parametrize("target", ["+4921112345", "0211 12345", "004921112345", "tel:+49-211-12345"])
def test_a_number_goes_out_as_e164_however_it_was_written(target: str) -> None:
    assert dialled(plan(), target).target == "+4921112345"


def test_a_trunk_writes_numbers_in_its_own_way() -> None:
    trunk = {**CARRIER, "dial_format": "national", "default_country": "DE"}
    way = dialled(plan(trunk), "+4921112345")
    assert (way.target, way.caller) == ("021112345", "021155660")


def test_a_transfer_goes_out_by_the_trunk_that_the_caller_came_by() -> None:
    routes = plan(CARRIER, {**CARRIER, "name": "second"})
    assert dialled(routes, "+4921112345", came_by="second").trunk == "second"
    assert dialled(routes, "+4921112345", came_by="unknown").trunk == "carrier"
    assert dialled(routes, "+4921112345", came_by="second", purpose=Purpose.CALL).trunk == "carrier"


def test_the_flows_own_trunk_comes_first() -> None:
    routes = plan(CARRIER, {**CARRIER, "name": "second"}, flow={"trunk": "second"})
    assert dialled(routes, "+4921112345", came_by="carrier").trunk == "second"


def test_a_trunk_that_only_sends_calls_does_not_dial() -> None:
    assert refused(plan({"name": "in", "hosts": ["192.0.2.1"]}), "+4921112345").rule == "no_trunk"


def test_calls_show_the_number_of_their_flow() -> None:
    """(contract D15)"""
    assert dialled(plan(), "+4921112345").caller == "+4921155660"
    assert dialled(plan(), "+4921112345", caller="0211 55660").caller == "+4921155660"


def test_a_number_that_the_trunk_does_not_allow_is_replaced_by_the_flows() -> None:
    """(contract D15)"""
    routes = plan()
    assert dialled(routes, "+4921112345", caller="+4915112345678").caller == "+4921155660"
    assert routes.caller_ids_replaced == 1


@pytest.mark.parametrize("entry", ["+4915112345678", "+49151*", "*"])
def test_a_trunk_may_allow_other_numbers_to_be_shown(entry: str) -> None:
    routes = plan({**CARRIER, "caller_ids": [entry]})
    assert dialled(routes, "+4921112345", caller="0151 12345678").caller == "+4915112345678"
    assert routes.caller_ids_replaced == 0


def test_a_flow_without_a_number_shows_the_trunks() -> None:
    assert dialled(plan(flow={"numbers": ["*"]}), "+4921112345").caller == "u"
    trunk = {**CARRIER, "caller_ids": ["+49211*", "+4921199"]}
    assert dialled(plan(trunk, flow={"numbers": ["*"]}), "+4921112345").caller == "+4921199"


def test_a_flow_may_have_its_own_lists() -> None:
    routes = plan(flow={"outbound": {"allow": ["+43"]}})
    assert refused(routes, "+4921112345").remedy == 'To allow it, add "+49…" to flow[f].outbound.allow.'
    assert dialled(routes, "+43123456").target == "+43123456"


def test_addresses_and_extensions_go_out_as_they_are() -> None:
    routes = plan(allow=("sip:*@pbx.example", "1xx", "*97"))
    assert dialled(routes, "sip:Alice@pbx.example;maddr=192.0.2.9").target == "sip:Alice@pbx.example"
    assert dialled(routes, "123").target == "123"
    assert dialled(routes, "*97").target == "*97"


def test_every_refusal_is_counted_by_its_rule() -> None:
    routes = plan(calls_per_minute=1)
    for target in ("+881612345678", "110", "nonsense!", "+4921112345", "+4921112345"):
        routes.route(asked(target))
    assert routes.refused == {"satellite": 1, "emergency": 1, "unreadable": 1, "calls_per_minute": 1}
    assert routes.allowed == 1


def test_a_call_that_is_over_makes_room() -> None:
    routes = plan(concurrent=1)
    dialled(routes, "+4921112345")
    assert refused(routes, "+4921112345").rule == "concurrent"
    routes.over(asked("+4921112345"))
    dialled(routes, "+4921112345")


def test_a_trunk_may_want_its_callers_to_be_referred() -> None:
    """(contract D15: a transfer by REFER)"""
    trunk = {**CARRIER, "transfer": "refer", "dial_format": "digits"}
    routes = plan(trunk, {**CARRIER, "name": "second"}, allow=("+49", "sip:*@pbx.example"))
    assert dialled(routes, "0211 12345", came_by="carrier").refer_to == "sip:4921112345@sip.example.net"
    assert dialled(routes, "sip:alice@pbx.example", came_by="carrier").refer_to == "sip:alice@pbx.example"
    assert dialled(routes, "0211 12345", came_by=None).refer_to is None
    assert dialled(routes, "0211 12345", came_by="second").refer_to is None
    assert dialled(routes, "0211 12345", came_by="carrier", purpose=Purpose.CALL).refer_to is None
    assert refused(routes, "+881612345678", came_by="carrier").rule == "satellite"


# --- nothing gets around the guards

DENIED = ("881612345678", "870773111111", "883510000000", "499001234567", "49137123456", "447012345678", "19005551234",
          "18095551234", "979123456789", "491801234567")  # fmt: skip
FORMS = (
    "+{}", "00{}", "+ {}", "00 {}", "tel:+{}", "tel:+{};ext=9", "tel:+{};phone-context=+49211", "sip:+{}@pbx.example",
    "sip:%2B{}@pbx.example", "sip:00{}@pbx.example", "sip:+{};phone-context=+49@pbx.example", "sips:+{}@pbx.example",
    "sip:+{}@pbx.example;user=phone", "SIP:+{}@PBX.example:5060", "{}", "tel:{}", "sip:{}@pbx.example", "0{}", "+0{}",
    "000{}", "+49{}", "+490{}", "0049{}", "+1{}", "+11{}", "011{}", "9{}", "+49(0){}", "tel:{};phone-context=+49",
    "tel:{};phone-context=+", "sip:{};phone-context=+1@pbx.example", "sip:%30%30{}@pbx.example", "*21*00{}#", "{}#",
    "{},,1", "{};1",
     "+{}@pbx.example", "sip:+{}:pw@pbx.example", "sip:sip:+{}@pbx.example", "sip:a@b?to=+{}@pbx.example",
)  # fmt: skip
SCRIPTS = ("0123456789", "٠١٢٣٤٥٦٧٨٩", "０１２３４５６７８９", "०१२३४५६७८९")
FUZZED = plan(
    {**CARRIER, "dial_format": "national", "default_country": "DE"},
    allow=("+49", "+1", "+44", "+43", "1xx", "sip:*@pbx.example"),
    calls_per_session=1000, calls_per_day=100000, calls_per_minute=10000, concurrent=2000,
)  # fmt: skip


def reached(target: str) -> str:
    """What the trunk's network, or a telephone system behind an address, would make of the number."""
    keys = target.removeprefix("sips:").removeprefix("sip:").partition("@")[0]
    if keys.startswith("+"):
        return keys
    if keys.startswith("00"):
        return f"+{keys[2:]}"
    return f"+49{keys[1:]}" if keys.startswith("0") else keys


@settings(deadline=None)
@given(
    st.sampled_from(DENIED),
    st.sampled_from(FORMS),
    st.sampled_from(SCRIPTS),
    st.lists(
        st.tuples(st.integers(0, 14), st.sampled_from([" ", "-", "/", ".", "(", ")", "(0)", "\u00a0", "–"])), max_size=4
    ),
    st.text("0123456789", max_size=3),
)
@example("881612345678", "00{}", SCRIPTS[0], [(2, " ")], "")
@example("499001234567", "+{}", SCRIPTS[0], [(2, "(0)")], "")
@example("499001234567", "+490{}", SCRIPTS[0], [], "")
def test_no_spelling_brings_a_denied_number_through(
    digits: str, form: str, script: str, between: list[tuple[int, str]], more: str
) -> None:
    """What does go out is an ordinary number of an allowed country, or an extension of three digits."""
    for place, separator in between:
        digits = digits[:place] + separator + digits[place:]
    written = form.format(digits + more).translate(str.maketrans(SCRIPTS[0], script))
    way = FUZZED.route(asked(written))
    if isinstance(way, Dial):
        number = reached(way.target)
        assert number.isascii()
        if number.startswith("+"):
            assert number.startswith(("+49", "+1", "+44", "+43"))
            assert special_range(number) is None
        else:
            assert not number.isdecimal() or (len(number) == 3 and number not in {"110", "112"})


@settings(deadline=None)
@given(st.text("+0123456789 ;:=@%.*#()-abcsiptel", max_size=30))
def test_nothing_else_brings_one_through_either(written: str) -> None:
    way = FUZZED.route(asked(written))
    if isinstance(way, Dial):
        number = reached(way.target)
        assert not number.startswith("+") or special_range(number) is None


ACCOUNT: dict[str, Any] = {
    "name": "main",
    "carrier": "twilio",
    "signing_key": "s",
    "rest_user": "AC1",
    "rest_key": "k",
    "transfer": "carrier",
}


def plan_of_a_carrier(*, allow: tuple[str, ...] = ("+49", "100"), flow: Any = None, **account: Any) -> DialPlan:
    tree = {
        "media_stream": {"account": [ACCOUNT | account]},
        "trunk": [CARRIER],
        "flow": [FLOW | (flow or {})],
        "outbound": {"allow": allow},
    }
    return DialPlan(Settings.model_validate(tree), lambda: 0.0)


def streamed(target: str, *, caller: str = "", purpose: Purpose = Purpose.TRANSFER) -> AskedToDial:
    return AskedToDial("f", "s", purpose, target, caller, "", 30, account="main")


def test_a_streamed_caller_is_connected_by_his_carrier() -> None:
    """With the number that was judged, whatever was written. (contract D15)"""
    way = plan_of_a_carrier().route(streamed("0211 (12345)"))
    assert way == Dial("main", "+4921112345", "+4921155660", "", 30, refer_to="tel:+4921112345")


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        *(("+4915112345678", "not_allowed"), ("+499001234567", "premium_rate"), ("112", "no_trunk")),
        *(("100", "no_trunk"), ("sip:a@pbx.example", "no_trunk"), ("x y", "unreadable")),
    ],
)
def test_a_carrier_is_asked_for_no_number_that_a_trunk_would_not_get(target: str, rule: str) -> None:
    way = plan_of_a_carrier(allow=("+49211",)).route(streamed(target))
    assert isinstance(way, DialRefused)
    assert way.rule == rule


def test_a_carrier_shows_numbers_of_the_flow_only() -> None:
    """(contract D15)"""
    routes = plan_of_a_carrier(flow={"numbers": ["+4921155660", "+4921155661"]})
    for caller, shown in (("0211 55661", "+4921155661"), ("", "+4921155660"), ("+4915112345678", "+4921155660")):
        way = routes.route(streamed("+4921112345", caller=caller))
        assert isinstance(way, Dial)
        assert way.caller == shown
    assert routes.caller_ids_replaced == 1


def test_a_flow_without_a_number_leaves_it_to_the_carrier() -> None:
    way = plan_of_a_carrier(flow={"numbers": ["*"]}).route(streamed("+4921112345"))
    assert isinstance(way, Dial)
    assert way.caller is None


def test_a_bridged_transfer_a_call_and_a_flows_own_trunk_go_by_trunk() -> None:
    for routes, order in (
        (plan_of_a_carrier(transfer="bridge"), streamed("+4921112345")),
        (plan_of_a_carrier(), streamed("+4921112345", purpose=Purpose.CALL)),
        (plan_of_a_carrier(flow={"trunk": "carrier"}), streamed("+4921112345")),
    ):
        way = routes.route(order)
        assert isinstance(way, Dial)
        assert (way.trunk, way.refer_to) == ("carrier", None)
