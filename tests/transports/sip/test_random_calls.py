"""Random walks through a call: whatever both sides do in whatever order, it ends once and leaves nothing behind."""

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.transports.call_leg import LegConnected, LegEnded
from offhook.transports.sip.message import SipRequest
from offhook.transports.sip.orders import Answer, HangUp, Order, Refuse, Ring

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.transports.sip.conftest import Bench, Phone

ORDERS: "dict[str, Order]" = {
    "ring": Ring(),
    "answer": Answer("127.0.0.1", 4000),
    "refuse": Refuse(486, "Busy Here", 3),
    "hang_up": HangUp("app_hung_up"),
}
AUDIO = "v=0\r\nc=IN IP4 192.0.2.7\r\nm=audio 3000 RTP/AVP 8\r\n"
REQUESTS = {
    "invite": ("INVITE", AUDIO),
    "hold": ("INVITE", AUDIO + "a=sendonly\r\n"),
    "invite for an offer": ("INVITE", ""),
    "unusable invite": ("INVITE", AUDIO.replace("AVP 8", "AVP 9")),
    "update": ("UPDATE", AUDIO),
    "ack": ("ACK", ""),
    "ack with an answer": ("ACK", AUDIO),
    "bye": ("BYE", ""),
    "info": ("INFO", ""),
    "prack": ("PRACK", ""),
}
STEPS = st.one_of(
    st.sampled_from([*ORDERS, *REQUESTS, "cancel", "dial again", "answer our bye"]),
    st.integers(1, 40_000),
    st.binary(max_size=60),
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, max_size=25), offering=st.booleans(), transport=st.sampled_from(["udp", "tcp"]))
def test_a_call_ends_once_and_leaves_nothing(
    new_bench: "Callable[[str], tuple[Bench, Phone]]", steps: list[str | int | bytes], offering: bool, transport: str
) -> None:
    bench, phone = new_bench(transport)
    invite = phone.request("INVITE", body=AUDIO if offering else "")
    branch = phone.branch
    bench.dial(phone, invite)
    byes: list[SipRequest] = []
    for step in steps:
        if isinstance(step, int):
            sent = bench.wait(step)
        elif isinstance(step, bytes):
            sent = bench.receive(invite[: len(invite) // 2] + step)
        elif step in ORDERS:
            sent = bench.order(ORDERS[step])
        elif step == "dial again":
            # A caller repeats its INVITE for 64 * T1 (RFC 3261 17.1.1.2, timer B); later it would be another call.
            sent = bench.receive(invite) if bench.now < 32_000 else []
        elif step == "cancel":
            sent = bench.receive(phone.request("CANCEL", branch=branch, sequence=1, tag=""))
        elif step == "answer our bye":
            sent = bench.receive(phone.ok_to(byes[-1])) if byes else []
        else:
            method, body = REQUESTS[step]
            sent = bench.receive(phone.request(method, body=body))
        byes += [message for message in sent if isinstance(message, SipRequest)]
    bench.order(HangUp("walk_over"))
    bench.wait(200_000)
    assert [type(fact) for fact in bench.facts].count(LegEnded) == 1
    assert isinstance(bench.facts[-1], LegEnded)
    assert bench.facts.count(LegConnected()) == (LegConnected() in bench.facts[:1])
    assert bench.agent.calls == bench.agent.transactions == 0
    assert bench.agent.next_deadline is None
