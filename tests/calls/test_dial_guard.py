"""Who may be called, and how often."""

import pytest

from offhook.calls.dial_guard import Callee, CallLimits, CallLists, DialGuard, SpecialRange, not_listed

PREMIUM = SpecialRange("+49900", "premium_rate", "a premium-rate number")
MANY = CallLimits(per_session=100, per_minute=100, per_day=100, at_once=100)


def number(digits: str, special: SpecialRange | None = None) -> Callee:
    return Callee(digits, digits, special=special)


def rule_of(callee: Callee, *allow: str, deny: tuple[str, ...] = ()) -> str | None:
    refusal = not_listed(callee, CallLists(allow, deny))
    return None if refusal is None else refusal.rule


def test_nothing_may_be_called_that_no_list_names() -> None:
    assert rule_of(number("+4921155660")) == "not_allowed"
    assert rule_of(Callee("100", name="100")) == "not_allowed"
    assert rule_of(Callee("sip:alice@pbx.example", name="alice")) == "not_allowed"
    assert rule_of(number("+4921155660"), "100", "sip:*@pbx.example") == "not_allowed"


def test_a_prefix_allows_what_begins_so() -> None:
    assert rule_of(number("+4921155660"), "+49") is None
    assert rule_of(number("+4321155660"), "+49") == "not_allowed"


@pytest.mark.parametrize(
    ("allow", "deny", "rule"),
    [("+49", "+49211", "denied"), ("+49211", "+49", None), ("+49", "+49", "denied"), ("+49211", "+4930", None)],
)
def test_of_two_entries_that_fit_the_longer_one_counts(allow: str, deny: str, rule: str | None) -> None:
    assert rule_of(number("+4921155660"), allow, deny=(deny,)) == rule


@pytest.mark.parametrize(
    ("allow", "rule"),
    [("+49", "premium_rate"), ("+499", "premium_rate"), ("+49900", None), ("+499001", None), ("+44", "premium_rate")],
)
def test_a_special_range_needs_an_entry_of_its_own(allow: str, rule: str | None) -> None:
    assert rule_of(number("+499001234567", PREMIUM), allow) == rule


def test_extensions_are_listed_one_by_one_or_by_their_digits() -> None:
    assert rule_of(Callee("100", name="100"), "100") is None
    assert rule_of(Callee("123", name="123"), "1xx") is None
    assert rule_of(Callee("1234", name="1234"), "1xx") == "not_allowed"
    assert rule_of(Callee("*97", name="*97"), "*97") is None
    assert rule_of(Callee("197", name="197"), "*97") == "not_allowed"
    assert rule_of(Callee("alex", name="alex"), "Alex") is None
    assert rule_of(Callee("123", name="123"), "1xx", deny=("123",)) == "denied"


def test_addresses_are_listed_by_patterns() -> None:
    alice = Callee("sip:alice@pbx.example", name="alice")
    assert rule_of(alice, "sip:*@pbx.example") is None
    assert rule_of(alice, "sip:alice@PBX.example") is None
    assert rule_of(alice, "sip:*@*.example") is None
    assert rule_of(alice, "sip:*@other.example") == "not_allowed"
    assert rule_of(Callee("sips:alice@pbx.example", name="alice"), "sip:*@pbx.example") is None
    assert rule_of(alice, "sips:*@pbx.example") == "not_allowed"
    assert rule_of(alice, "sip:*@pbx.example", deny=("sip:alice@pbx.example",)) == "denied"


def test_a_number_behind_an_address_must_be_allowed_as_a_number_too() -> None:
    premium = Callee("sip:+499001234567@pbx.example", "+499001234567", special=PREMIUM)
    plain = Callee("sip:+4921155660@pbx.example", "+4921155660")
    assert rule_of(plain, "sip:*@pbx.example") == "not_allowed"
    assert rule_of(plain, "sip:*@pbx.example", "+49") is None
    assert rule_of(plain, "+49") == "not_allowed"
    assert rule_of(premium, "sip:*@pbx.example", "+49") == "premium_rate"
    assert rule_of(premium, "sip:+499001234567@pbx.example") is None


def test_an_emergency_number_must_be_listed_itself() -> None:
    police = Callee("110", name="110", emergency=True)
    assert rule_of(police, "1xx") == "emergency"
    assert rule_of(police, "110") is None
    assert rule_of(Callee("sip:110@pbx.example", name="110", emergency=True), "sip:*@pbx.example") == "emergency"
    assert rule_of(Callee("+49112", "+49112", emergency=True), "+49") == "emergency"


def test_a_refusal_is_one_line_with_rule_number_and_setting() -> None:
    refusal = not_listed(number("+499001234567", PREMIUM), CallLists(("+49",), setting="flow[a].outbound.allow"))
    assert str(refusal) == (
        "+499001234567 is not dialled (premium_rate): +49900 is a premium-rate number, and no entry lists it. "
        'To allow it, add "+49900" to flow[a].outbound.allow.'
    )


def judge(guard: DialGuard, now: float, session: str = "s", flow: str = "f") -> str | None:
    refusal = guard.judge(number("+4921155660"), CallLists(("+49",)), flow_id=flow, session_id=session, now=now)
    return None if refusal is None else refusal.rule


def test_a_session_may_place_so_many_calls() -> None:
    guard = DialGuard(CallLimits(per_session=2, per_minute=100, per_day=100, at_once=100))
    assert [judge(guard, 0) for _ in range(3)] == [None, None, "calls_per_session"]
    assert judge(guard, 0, session="other") is None


def test_a_flow_may_place_so_many_calls_a_minute_and_a_day() -> None:
    guard = DialGuard(CallLimits(per_session=100, per_minute=2, per_day=3, at_once=100))
    assert [judge(guard, now) for now in (0, 1, 2, 59, 60)] == [
        None,
        None,
        "calls_per_minute",
        "calls_per_minute",
        None,
    ]
    assert judge(guard, 200) == "calls_per_day"
    assert judge(guard, 200, flow="other") is None
    assert judge(guard, 86400) is None


def test_a_flow_may_have_so_many_calls_in_progress() -> None:
    guard = DialGuard(CallLimits(per_session=100, per_minute=100, per_day=100, at_once=1))
    assert [judge(guard, 0), judge(guard, 1)] == [None, "concurrent"]
    guard.over("f")
    assert judge(guard, 2) is None


def test_a_refusal_by_a_limit_says_when_to_come_back() -> None:
    guard = DialGuard(CallLimits(per_session=100, per_minute=0, per_day=100, at_once=100))
    refusal = guard.judge(number("+491"), CallLists(("+49",)), flow_id="f", session_id="s", now=0)
    assert refusal is not None
    assert refusal.retry_after_seconds == 60


def test_refused_calls_are_counted_by_rule_and_use_up_nothing() -> None:
    guard = DialGuard(CallLimits(per_session=1, per_minute=1, per_day=1, at_once=1))
    for _ in range(5):
        guard.judge(number("+3311"), CallLists(("+49",)), flow_id="f", session_id="s", now=0)
    assert guard.refused == {"not_allowed": 5}
    assert judge(guard, 0) is None
    assert guard.allowed == 1


def test_the_list_that_denies_is_named() -> None:
    lists = CallLists(("+49",), ("+4930",), denying="flow[a].outbound.deny")
    for callee in (number("+493012345"), Callee("+4930", name="+4930", number="+4930")):
        refusal = not_listed(callee, lists)
        assert refusal is not None
        assert "flow[a].outbound.deny" in refusal.why
