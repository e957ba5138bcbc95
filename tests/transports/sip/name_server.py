"""A DNS server on loopback: one zone, as a text; questions are counted."""

import asyncio
from typing import Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import dns.zone

APEX = "$TTL 300\n@ IN SOA ns hostmaster 1 3600 600 86400 300\n@ IN NS ns\nns IN A 127.0.0.1\n"


class NameServer(asyncio.DatagramProtocol):
    """Use it as `async with NameServer(records) as server`.

    Args:
        records: lines of a zone file, relative to `example.net`.
        rcode: what every question is answered with, instead of the zone; None: nothing is answered at all.
    """

    def __init__(self, records: str = "", *, rcode: dns.rcode.Rcode | None = dns.rcode.NOERROR) -> None:
        self.questions: list[str] = []
        self.port = 0
        self._rcode = rcode
        self._zone = dns.zone.from_text(APEX + records, origin="example.net.", relativize=False)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        (question,) = query.question
        self.questions.append(f"{question.rdtype.name} {question.name.to_text(omit_final_dot=True)}")
        if self._rcode is None:
            return
        answer = dns.message.make_response(query, recursion_available=True)
        answer.set_rcode(self._rcode)
        if self._rcode is dns.rcode.NOERROR:
            self._look_up(question, answer)
        self._transport.sendto(answer.to_wire(), addr)

    def _look_up(self, question: dns.rrset.RRset, answer: dns.message.Message) -> None:
        if not question.name.is_subdomain(self._zone.origin or dns.name.root):
            answer.set_rcode(dns.rcode.NXDOMAIN)
            return
        found = self._zone.get_rrset(question.name, question.rdtype)
        if found is not None:
            answer.answer.append(found)
            return
        if self._zone.get_node(question.name) is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        soa = self._zone.get_rrset(self._zone.origin or dns.name.root, "SOA")
        assert soa is not None
        answer.authority.append(soa)
