"""Users: which numbers are theirs, what they may dial, and who a call of theirs is from."""

import pytest

from offhook.media.messages import Codec, MediaTerms
from offhook.transports.call_leg import Offer
from offhook.transports.sip.message import SipRequest, parse_message
from offhook.transports.sip.user import Identity, User, comparable, identity_of, signed

ALICE = User("alice", "wonderland-7", ("+4921155661", "100"))


def invite(sender: str, *headers: str) -> SipRequest:
    lines = ["INVITE sip:1@h SIP/2.0", "Via: SIP/2.0/UDP h;branch=z9hG4bK1", f"From: {sender};tag=1", *headers]
    found = parse_message(("\r\n".join(lines) + "\r\n\r\n").encode())
    assert isinstance(found, SipRequest)
    return found


@pytest.mark.parametrize(
    ("sender", "caller"),
    [
        ("<sip:+4921155661@h>", "+4921155661"),
        ("<sip:004921155661@h>", "+4921155661"),
        ("<sip:+49-211-55661@h>", "+4921155661"),
        ("<sip:100@h>", "100"),
        ("<sip:alice@h>", "+4921155661"),
    ],
)
def test_a_call_is_from_the_number_of_the_user_that_it_names(sender: str, caller: str) -> None:
    assert identity_of(invite(f'"Alice" {sender}'), ALICE) == Identity("alice", caller, "Alice")


@pytest.mark.parametrize("sender", ["<sip:110@h>", "<sip:bob@h>", "<sip:+4921155662@h>"])
def test_a_number_that_is_not_the_users_is_not_taken(sender: str) -> None:
    assert identity_of(invite(sender), ALICE) is None


@pytest.mark.parametrize(
    ("sender", "header"),
    [
        ("<sip:anonymous@anonymous.invalid>", "X: y"),
        ("<sip:alice@h>", "Privacy: id"),
    ],
)
def test_a_user_may_withhold_the_number(sender: str, header: str) -> None:
    assert identity_of(invite(sender, header), ALICE) == Identity("alice", None, "")


def test_what_a_telephone_asserts_counts_for_nothing() -> None:
    identity = identity_of(invite("<sip:100@h>", "P-Asserted-Identity: <sip:110@h>"), ALICE)
    assert identity == Identity("alice", "100", "")
    offer = Offer(
        transport="sip",
        called="1",
        caller="110",
        caller_name="Police",
        terms=MediaTerms(Codec.PCMU, 0),
        source=("203.0.113.9", 5060),
        headers={"P-Asserted-Identity": "<sip:110@h>", "Remote-Party-ID": "<sip:110@h>", "X-Shop": "7"},
    )
    known = signed(offer, identity)
    assert (known.user, known.caller, known.caller_name, known.headers) == ("alice", "100", "", {"X-Shop": "7"})
    assert signed(offer, None) is offer


def test_a_user_without_numbers_is_its_name() -> None:
    assert User("door", "secret").calls_as("door") == "door"
    assert User("door", "secret").calls_as("100") is None


def test_a_user_may_call_what_is_listed() -> None:
    assert ALICE.may_call("00900123")
    door = User("door", "secret", may_dial=("+4921155660", "support"))
    assert door.may_call("004921155660")
    assert door.may_call("support")
    assert not door.may_call("+4921155661")


def test_the_password_is_not_shown() -> None:
    assert "wonderland" not in repr(ALICE)


def test_numbers_are_compared_without_separators_and_prefix() -> None:
    assert comparable("+49 (211) 556-60") == comparable("004921155660") == comparable("4921155660") == "4921155660"
    assert comparable("0211") == "0211"
