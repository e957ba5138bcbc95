"""Which flow answers which number."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.service.flow_book import FlowBook
from offhook.service.settings import Flow


def flow(name: str, *numbers: str, **more: object) -> Flow:
    return Flow.model_validate({"id": name, "app": "http://localhost/", "numbers": numbers, **more})


def found(book: FlowBook, called: str) -> str | None:
    answer = book.find(called, "+4915112345678")
    return answer.flow.id if answer else None


@pytest.mark.parametrize(
    "called",
    ["+4921155660", "4921155660", "004921155660", "021155660", "0211 5566-0", "sip:+4921155660@192.0.2.1;user=phone",
     "sip:021155660@10.0.0.1:5060", "tel:+49-211-55660"],
)  # fmt: skip
def test_a_number_is_found_in_every_form_that_networks_send(called: str) -> None:
    """(contract D2)"""
    assert found(FlowBook([flow("support", "+4921155660", default_country="DE")]), called) == "support"


def test_a_national_number_is_read_as_its_own_flow_reads_it() -> None:
    book = FlowBook(
        [flow("berlin", "030 123456", default_country="DE"), flow("vienna", "01 123456", default_country="AT")]
    )
    assert found(book, "01123456") == "vienna"
    assert found(book, "+431123456") == "vienna"
    assert found(book, "030123456") == "berlin"


def test_names_and_extensions_are_found_without_case() -> None:
    book = FlowBook([flow("support", "Alice", "100")])
    assert found(book, "sip:alice@example.net") == "support"
    assert found(book, "100") == "support"


def test_a_number_without_a_flow_is_not_found() -> None:
    """(contract D41)"""
    assert found(FlowBook([flow("support", "+4921155660")]), "+4921155661") is None


def test_the_default_flow_takes_every_other_number() -> None:
    """(contract D41)"""
    book = FlowBook([flow("support", "+4921155660"), flow("rest", "*")])
    assert found(book, "+4921155660") == "support"
    assert found(book, "anything") == "rest"


@pytest.mark.parametrize("caller", [None, "", "anonymous", "sip:anonymous@anonymous.invalid", "Unavailable"])
def test_a_withheld_caller_is_anonymous(caller: str | None) -> None:
    """(contract D2)"""
    answer = FlowBook([flow("support", "*")]).find("100", caller)
    assert answer is not None
    assert answer.caller == "anonymous"


def test_numbers_go_out_in_the_flows_format() -> None:
    """(contract D2)"""
    book = FlowBook([flow("a", "0211 55660", default_country="DE"), flow("b", "*", number_format="digits")])
    first = book.find("021155660", "0151 12345678")
    assert first is not None
    assert (first.called, first.caller) == ("+4921155660", "+4915112345678")
    second = book.find("+4921155661", "+4915112345678")
    assert second is not None
    assert (second.called, second.caller) == ("4921155661", "4915112345678")


@pytest.mark.parametrize("called", ["021155660", "0211 5566-0", "sip:021155660@10.0.0.1", "tel:0211-55660"])
def test_a_national_number_is_read_by_the_country_of_the_trunk_that_it_came_by(called: str) -> None:
    """(contract D2) The flow itself has no country."""
    book = FlowBook([flow("support", "+4921155660")], {"carrier": "DE", "other": None})
    for trunk, expected in (("carrier", "support"), ("other", None), (None, None)):
        answer = book.find(called, "0151 12345678", trunk)
        assert (answer.flow.id if answer else None) == expected
    answer = book.find(called, "0151 12345678", "carrier")
    assert answer is not None
    assert (answer.called, answer.caller) == ("+4921155660", "+4915112345678")


@pytest.mark.parametrize("number", ["+4999", "+999123456", "+49110", "12345678901234567", "*97", "0800ABC"])
def test_a_number_that_no_plan_knows_reaches_the_flow_that_lists_just_it(number: str) -> None:
    assert found(FlowBook([flow("odd", number, default_country="DE")]), number) == "odd"
    assert found(FlowBook([flow("odd", number)]), number) == "odd"


@pytest.mark.parametrize(
    "called", ["tel:55660;phone-context=+49211", "sip:55660;phone-context=+49211@h", "sip:%2B4921155660@h"]
)
def test_a_number_in_the_context_of_another_and_an_encoded_one_are_found(called: str) -> None:
    assert found(FlowBook([flow("support", "+4921155660")]), called) == "support"


@settings(deadline=None)
@given(
    st.sampled_from(["+49", "0049", "0", "49", "+49 (0)"]),
    st.lists(st.sampled_from(["", " ", "-", "/", ".", "\u00a0"]), min_size=8, max_size=8),
    st.sampled_from(["", "sip:", "tel:"]),
)
def test_every_spelling_of_a_number_finds_its_flow(prefix: str, between: list[str], scheme: str) -> None:
    """(contract D2)"""
    digits = "".join(digit + separator for digit, separator in zip("21155660", between, strict=True))
    assert found(BOOK, f"{scheme}{prefix}{digits}") == "support"


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20) | st.none(), st.sampled_from(["carrier", None]))
def test_looking_up_never_raises(called: str, caller: str | None, trunk: str | None) -> None:
    BOOK.find(called, caller, trunk)


BOOK = FlowBook(
    [flow("support", "+4921155660", default_country="DE"), flow("vienna", "01 123456", default_country="AT")],
    {"carrier": "US"},
)


def test_a_flow_calls_from_its_first_number() -> None:
    """(contract D1)"""
    book = FlowBook([flow("support", "*", "0211 55660", default_country="DE", number_format="digits"), flow("all")])
    calling = book.calling("support", "0151 12345678")
    assert calling is not None
    assert (calling.called, calling.caller) == ("4915112345678", "4921155660")
    nameless = book.calling("all", "+4915112345678")
    assert nameless is not None
    assert nameless.caller == ""
    assert book.calling("nobody", "+49") is None
