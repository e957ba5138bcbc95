"""Where requests for a domain go (RFC 3263): the pure order, and questions to a DNS server on loopback."""

from collections import Counter

import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from offhook.transports.sip.server_location import (
    Naptr,
    ServerLocation,
    ServersNotFound,
    Srv,
    Target,
    in_turn,
    services,
)
from tests.transports.sip.name_server import NameServer

DOMAIN = "example.net"
NUMBERS = """
one IN A 127.0.0.11
two IN A 127.0.0.12
"""
OF_UDP = """
_sip._udp IN SRV 20 0 5070 two
_sip._udp IN SRV 10 0 5062 one
"""


def at(server: NameServer) -> ServerLocation:
    return ServerLocation([("127.0.0.1", server.port)], draw=lambda: 0.0)


def targets(transport: str, *addresses: tuple[str, int]) -> tuple[Target, ...]:
    return tuple(Target(transport, address) for address in addresses)


class TestWhatRecordsSay:
    def test_naptr_records_are_taken_by_order_then_preference_and_only_those_that_can_be_used(self) -> None:
        records = [
            Naptr(20, 10, "s", "SIP+D2U", "third"),
            Naptr(10, 20, "S", "sip+d2t", "second"),
            Naptr(10, 10, "s", "SIPS+D2T", "first"),
            Naptr(5, 10, "s", "SIP+D2S", "sctp"),
            Naptr(5, 10, "u", "SIP+D2U", "enum"),
            Naptr(5, 10, "s", "SIPS+D2U", "nonsense"),
        ]
        assert services(records, ["udp", "tcp", "tls"]) == [("tls", "first"), ("tcp", "second"), ("udp", "third")]
        assert services(records, ["udp"]) == [("udp", "third")]

    def test_weights_share_the_load_as_rfc_2782_says(self) -> None:
        """Weights 1 and 3: of the lots 0 to 4 the first two are the lighter one's (those of 0 come first)."""
        records = [Srv(1, 1, "light", 1), Srv(1, 3, "heavy", 1)]
        firsts = Counter(in_turn(records, lambda lot=lot: lot / 5)[0].target for lot in range(5))  # type: ignore[misc]  # bound at once
        assert firsts == {"light": 2, "heavy": 3}

    def test_a_weight_of_zero_has_a_small_chance(self) -> None:
        records = [Srv(1, 100, "heavy", 1), Srv(1, 0, "idle", 1)]
        assert in_turn(records, lambda: 0.0)[0].target == "idle"
        assert in_turn(records, lambda: 0.5)[0].target == "heavy"

    @given(
        st.lists(st.builds(Srv, st.integers(0, 3), st.integers(0, 65535), st.sampled_from("abc"), st.just(5060))),
        st.floats(0, 1, exclude_max=True),
    )
    def test_every_record_has_its_turn_and_priorities_are_kept(self, records: list[Srv], lot: float) -> None:
        found = in_turn(records, lambda: lot)
        assert Counter(found) == Counter(records)
        assert [each.priority for each in found] == sorted(each.priority for each in records)


class TestAsking:
    @pytest.mark.parametrize(
        ("host", "port", "transport", "expected"),
        [
            ("192.0.2.1", None, None, Target("udp", ("192.0.2.1", 5060))),
            ("192.0.2.1", None, "tls", Target("tls", ("192.0.2.1", 5061))),
            ("2001:db8::1", 5070, "tcp", Target("tcp", ("2001:db8::1", 5070))),
        ],
    )
    async def test_an_address_is_asked_of_nobody(
        self, host: str, port: int | None, transport: str | None, expected: Target
    ) -> None:
        async with NameServer() as server:
            assert await at(server).find(host, port, transport) == (expected,)
            assert server.questions == []

    async def test_a_port_needs_addresses_only(self) -> None:
        async with NameServer(OF_UDP + NUMBERS) as server:
            assert await at(server).find("one.example.net", 5099) == targets("udp", ("127.0.0.11", 5099))
            assert server.questions == ["A one.example.net", "AAAA one.example.net"]

    async def test_a_transport_that_is_asked_for_needs_no_naptr(self) -> None:
        async with NameServer(OF_UDP + NUMBERS) as server:
            found = await at(server).find(DOMAIN, transport="udp")
            assert found == targets("udp", ("127.0.0.11", 5062), ("127.0.0.12", 5070))
            assert server.questions[0] == "SRV _sip._udp.example.net"

    async def test_naptr_says_which_transport_comes_first(self) -> None:
        records = """
        @ IN NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp
        @ IN NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp
        @ IN NAPTR 5 10 "s" "SIP+D2U" "!^.*$!sip:x@y!" .
        _sips._tcp IN SRV 1 1 5061 two
        """
        async with NameServer(records.replace("        ", "") + OF_UDP + NUMBERS) as server:
            found = await at(server).find(DOMAIN)
            assert found == (
                Target("tls", ("127.0.0.12", 5061)),
                *targets("udp", ("127.0.0.11", 5062), ("127.0.0.12", 5070)),
            )
            assert await at(server).find(DOMAIN, transports=["udp", "tcp"]) == found[1:]

    async def test_without_naptr_every_transport_that_can_be_used_is_asked_for(self) -> None:
        async with NameServer("_sip._tcp IN SRV 1 1 5060 two\n" + NUMBERS) as server:
            assert await at(server).find(DOMAIN) == targets("tcp", ("127.0.0.12", 5060))
            asked = [question for question in server.questions if question.startswith("SRV")]
            assert sorted(asked) == [f"SRV {name}.example.net" for name in ("_sip._tcp", "_sip._udp", "_sips._tcp")]

    async def test_without_any_of_them_the_name_is_that_of_a_host(self) -> None:
        async with NameServer("@ IN A 127.0.0.13\n@ IN AAAA ::13\n") as server:
            found = await at(server).find(DOMAIN, transport="tls")
            assert found == targets("tls", ("127.0.0.13", 5061), ("::13", 5061))

    async def test_a_domain_that_has_no_such_service_says_so(self) -> None:
        """RFC 2782: the root as the target."""
        async with NameServer("_sip._udp IN SRV 0 0 0 .\n@ IN A 127.0.0.1\n") as server:
            with pytest.raises(ServersNotFound, match="no SIP service"):
                await at(server).find(DOMAIN, transport="udp")

    async def test_a_target_without_an_address_is_passed_over(self) -> None:
        records = "_sip._udp IN SRV 1 0 5060 gone\n_sip._udp IN SRV 2 0 5060 one\n" + NUMBERS
        async with NameServer(records) as server:
            assert await at(server).find(DOMAIN, transport="udp") == targets("udp", ("127.0.0.11", 5060))

    async def test_a_name_that_nobody_knows_leads_nowhere(self) -> None:
        async with NameServer() as server:
            with pytest.raises(ServersNotFound):
                await at(server).find("no-such-host.invalid")

    async def test_answers_are_kept_as_long_as_they_may_be(self) -> None:
        """Those with a TTL of 0 not at all; that there is nothing, as long as the zone says."""
        records = "fresh 0 IN A 127.0.0.14\nfresh 0 IN AAAA ::14\n" + OF_UDP + NUMBERS
        async with NameServer(records) as server:
            location = at(server)
            for _ in range(2):
                await location.find(DOMAIN)
                await location.find("fresh.example.net", 5060)
        asked = Counter(server.questions)
        fresh = {question: times for question, times in asked.items() if "fresh" in question}
        assert fresh == {"A fresh.example.net": 2, "AAAA fresh.example.net": 2}
        assert set((asked - Counter(fresh)).values()) == {1}

    async def test_who_did_not_answer_is_the_last_to_be_tried(self) -> None:
        async with NameServer(OF_UDP + NUMBERS) as server:
            location = at(server)
            first, second = await location.find(DOMAIN)
            location.avoid(first)
            assert await location.find(DOMAIN) == (second, first)


class TestWithoutADns:
    """Names of /etc/hosts work, and somebody is told."""

    @pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
    async def test_a_dns_that_refuses_is_told_of_once_and_spared(self, rcode: dns.rcode.Rcode) -> None:
        async with NameServer(rcode=rcode) as server:
            location = at(server)
            with capture_logs() as logs:
                for _ in range(2):
                    with pytest.raises(ServersNotFound):
                        await location.find("host.invalid")
            naptr = [line for line in logs if line["question"] == "NAPTR host.invalid"]
            assert [(line["event"], "sip.dns_servers" in line["remedy"]) for line in naptr] == [
                ("dns_unanswered", True)
            ]
            assert sum(question.startswith("SRV") for question in server.questions) == 0

    async def test_a_dns_that_is_silent_or_not_there_leaves_the_names_of_the_machine(self) -> None:
        async with NameServer(rcode=None) as server:
            location = at(server)
            with capture_logs() as logs:
                found = await location.find("localhost", transport="tcp")
        assert Target("tcp", ("127.0.0.1", 5060)) in found
        assert {line["event"] for line in logs} == {"dns_unanswered"}

    async def test_localhost_is_no_domain(self) -> None:
        async with NameServer() as server:
            found = await at(server).find("localhost")
        assert Target("udp", ("127.0.0.1", 5060)) in found
        assert not [question for question in server.questions if question.startswith(("NAPTR", "SRV"))]
