"""Random walks through a call that we place: whatever happens in whatever order, it ends once and leaves nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from offhook.transports.call_leg import LegConnected, LegEnded
from offhook.transports.sip.message import SipRequest, SipResponse
from offhook.transports.sip.orders import Answer, HangUp
from offhook.transports.sip.trunk import SipTrunk
from tests.transports.sip.callee import CARRIER, OTHER, DialBench, answer_sdp, ask, path, respond

TRUNK = SipTrunk("carrier", "carrier.example", username="us", password="pw", follow_redirects=True)
CHALLENGE = 'Proxy-Authenticate: Digest realm="c", nonce="{}"'
STATUSES = ["100 Trying", "180 Ringing", "183 Progress", "200 OK", "302 Moved", "401 Who", "407 Who", "422 Small"]
STATUSES += ["481 Gone", "486 Busy", "487 Over", "488 No", "491 Pending", "503 Full", "603 No"]
RESPONSES = st.tuples(
    st.sampled_from(STATUSES),
    st.integers(0, 9),
    st.sampled_from(["", "bob", "carol"]),
    st.sampled_from(["", answer_sdp(), answer_sdp("8"), answer_sdp("18"), "nonsense"]),
    st.sampled_from([(), ("Require: 100rel", "RSeq: 1"), ("Require: 100rel", "RSeq: 2"), ("Min-SE: 3600",)]),
)
REQUESTS = st.tuples(
    st.sampled_from(["BYE", "INVITE", "UPDATE", "INFO", "ACK", "PRACK", "CANCEL"]),
    st.integers(1, 9),
    st.sampled_from(["bob", "carol"]),
    st.sampled_from(["", answer_sdp(), answer_sdp("8", direction="sendonly"), answer_sdp("18")]),
)
STEPS = st.one_of(RESPONSES, REQUESTS, st.integers(1, 40_000), st.sampled_from(["hang up", "answer", "disconnect"]))


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(STEPS, max_size=25), transport=st.sampled_from(["udp", "tcp"]), ring=st.integers(1, 90))
def test_a_placed_call_ends_once_and_leaves_nothing(
    steps: "list[tuple[str, int, str, str, tuple[str, ...]] | tuple[str, int, str, str] | int | str]",
    transport: str,
    ring: int,
) -> None:
    paths = (path(CARRIER, transport), path(OTHER, transport))
    bench = DialBench(trunk=TRUNK, paths=paths, transport=transport)
    invite = bench.invite(ring_seconds=ring)
    ours: list[SipRequest] = [invite]
    for step in steps:
        sent: list[SipRequest | SipResponse] = []
        match step:
            case int():
                sent = bench.wait(step)
            case "hang up":
                sent = bench.order(HangUp("app_hung_up"))
            case "answer":
                sent = bench.order(Answer("127.0.0.1", 4000))
            case "disconnect":
                sent = bench.disconnect(CARRIER)
            case (str() as status, int() as at, str() as tag, str() as sdp, tuple() as headers):
                challenge = CHALLENGE.format(at).replace("Proxy", "WWW" if status[:3] == "401" else "Proxy")
                contact = f"<sip:{at}@carrier.example>" if status[:3] == "302" else "<sip:bob@203.0.113.9>"
                request = ours[-1 - at % len(ours)]
                sent = bench.receive(respond(request, status, challenge, *headers, tag=tag, sdp=sdp, contact=contact))
            case (str() as method, int() as number, str() as tag, str() as body):
                sent = bench.receive(ask(invite, method, number, body=body, tag=tag))
        ours += [message for message in sent if isinstance(message, SipRequest) and message.method != "ACK"]
    bench.order(HangUp("walk_over"))
    bench.wait(300_000)
    assert [type(fact) for fact in bench.facts].count(LegEnded) == 1
    assert isinstance(bench.facts[-1], LegEnded)
    assert [type(fact) for fact in bench.facts].count(LegConnected) <= 1
    assert bench.agent.calls == bench.agent.transactions == 0
    assert bench.agent.next_deadline is None
