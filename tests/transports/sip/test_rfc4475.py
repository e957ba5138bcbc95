"""The torture messages of RFC 4475, as section 3 there says a correct user agent server treats them."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from offhook.transports.sip.message import SipRequest, SipResponse, parse_message
from offhook.transports.sip.orders import Answer

if TYPE_CHECKING:
    from tests.transports.sip.conftest import Bench, Phone

MESSAGES = Path(__file__).parents[2] / "data" / "rfc4475"

HANDLED = {
    # 3.1.1 valid messages
    "valid/dblreq": 405,
    "valid/esc01": 100,
    "valid/esc02": 501,
    "valid/escnull": 405,
    "valid/intmeth": 501,
    "valid/longreq": 100,
    "valid/lwsdisp": 200,
    "valid/mpart01": 405,
    "valid/noreason": None,
    "valid/semiuri": 200,
    "valid/transports": 200,
    "valid/unreason": None,
    "valid/wsinv": 481,  # it carries a To tag: a dialog that nobody here knows
    # 3.1.2 invalid messages; where the RFC leaves it to the element, the caller's intent is taken
    "invalid/badaspec": 200,
    "invalid/badbranch": 200,
    "invalid/baddate": 100,
    "invalid/baddn": 200,
    "invalid/badinv01": 400,
    "invalid/badvers": 505,
    "invalid/bcast": None,
    "invalid/bext01": 420,
    "invalid/bigcode": None,
    "invalid/clerr": 400,
    "invalid/cparam01": 405,
    "invalid/cparam02": 405,
    "invalid/escruri": 400,
    "invalid/insuf": 400,
    "invalid/inv2543": 100,
    "invalid/invut": 415,
    "invalid/ltgtruri": 400,
    "invalid/lwsruri": 400,
    "invalid/lwsstart": 100,
    "invalid/mcl01": 400,
    "invalid/mismatch01": 400,
    "invalid/mismatch02": 400,
    "invalid/multi01": 400,
    "invalid/ncl": 400,
    "invalid/novelsc": 416,
    "invalid/quotbal": 400,
    "invalid/regaut01": 405,
    "invalid/regbadct": 405,
    "invalid/regescrt": 405,
    "invalid/scalar02": 400,
    "invalid/scalarlg": None,
    "invalid/sdp01": 406,
    "invalid/test": None,  # no Via: nowhere to answer to
    "invalid/trws": 200,
    "invalid/unkscm": 416,
    "invalid/unksm2": 405,
    "invalid/zeromf": 200,  # 3.3.11: an endpoint processes it
}


def message(name: str) -> bytes:
    return (MESSAGES / f"{name}.dat").read_bytes()


def test_every_message_is_listed_here() -> None:
    assert {f"{path.parent.name}/{path.stem}" for path in MESSAGES.glob("*/*.dat")} == set(HANDLED)


@pytest.mark.parametrize(("name", "status"), HANDLED.items(), ids=HANDLED)
def test_message_is_treated_as_section_3_says(bench: "Bench", name: str, status: int | None) -> None:
    assert bench.statuses(message(name)) == ([] if status is None else [status])


def test_none_of_them_disturbs_a_call_in_progress(bench: "Bench", phone: "Phone") -> None:
    bench.dial(phone)
    bench.order(Answer("127.0.0.1", 4000))
    bench.receive(phone.request("ACK"))
    before = list(bench.facts)
    for name in HANDLED:
        bench.receive(message(name))
        bench.wait(700)
    assert bench.facts == before
    assert bench.statuses(phone.request("OPTIONS")) == [200]
    assert bench.statuses(phone.request("BYE")) == [200]


def read(name: str) -> SipRequest:
    parsed = parse_message(message(name))
    assert isinstance(parsed, SipRequest)
    return parsed


def test_a_short_tortuous_invite_is_read_to_its_last_field() -> None:
    """3.1.1.1."""
    invite = read("valid/wsinv")
    assert invite.defect is None
    assert invite.to_tag == "1918181833n"
    assert invite.from_address.name == 'J Rosenberg \\"'
    assert invite.cseq.sequence == 9
    assert len(invite.vias) == 3
    assert invite.via.host == "192.0.2.2"
    assert invite.branch == "390skdjuw"
    assert invite.body.startswith(b"v=0")


def test_escaped_and_long_values_are_kept() -> None:
    """3.1.1.3, 3.1.1.4, 3.1.1.7."""
    assert read("valid/esc01").to_address.uri.user == "user"
    assert read("valid/escnull").to_address.uri.user == "null-\0-null"
    assert len(read("valid/longreq").vias) == 34


def test_the_first_of_two_requests_in_a_datagram_is_taken() -> None:
    """3.1.1.8."""
    assert read("valid/dblreq").body == b""


def test_responses_with_strange_reasons_are_read() -> None:
    """3.1.1.12, 3.1.1.13."""
    for name, status in (("valid/noreason", 100), ("valid/unreason", 200)):
        parsed = parse_message(message(name))
        assert isinstance(parsed, SipResponse)
        assert parsed.status == status
