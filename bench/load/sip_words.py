"""The SIP that a caller speaks: an INVITE with an offer of PCMU, ACK, BYE, and answers to the service's BYE."""

from dataclasses import dataclass
from typing import Final

KEYS: Final = 101


@dataclass(frozen=True, slots=True)
class Said:
    """What the service said: `status` 0 for a request. `rtp_port` 0 without a description."""

    status: int
    method: str
    call: int
    headers: dict[str, str]
    vias: tuple[str, ...]
    rtp_port: int


def read(data: bytes) -> Said | None:
    """A message of one of our calls; None for anything else."""
    head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers: dict[str, str] = {}
    vias: list[str] = []
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
        if name.strip().lower() == "via":
            vias.append(value.strip())
    name, _, number = headers.get("call-id", "").partition("-")
    if name != "load" or not number.isdigit():
        return None
    status = int(first.split()[1]) if first.startswith("SIP/2.0") else 0
    method = headers["cseq"].split()[1] if status else first.split()[0]
    rtp = next((int(line.split()[1]) for line in body.split("\r\n") if line.startswith("m=audio ")), 0)
    return Said(status, method, int(number), headers, tuple(vias), rtp)


@dataclass(slots=True)
class Dialog:
    """One call's side of the signalling."""

    call: int
    number: str
    service_port: int
    own_port: int
    rtp_port: int
    to: str = ""
    target: str = ""
    sequence: int = 1

    @property
    def caller(self) -> str:
        """The number that this call shows: one a call."""
        return f"+4930{self.call:07d}"

    def invite(self) -> bytes:
        body = (
            f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self.rtp_port} RTP/AVP 0 {KEYS}\r\na=rtpmap:{KEYS} telephone-event/8000\r\n"
            f"a=fmtp:{KEYS} 0-15\r\na=ptime:20\r\n"
        )
        return self._request("INVITE", body)

    def ack(self, said: Said) -> bytes:
        """For the final answer to the INVITE; what it said of the way to the service holds from now on."""
        self.to = said.headers["to"]
        if said.status < 300:
            self.target = said.headers["contact"].partition("<")[2].partition(">")[0]
        return self._request("ACK", "", same_branch=said.status >= 300)

    def bye(self) -> bytes:
        self.sequence += 1
        return self._request("BYE", "")

    def ok(self, said: Said) -> bytes:
        """200 for a request of the service."""
        kept = [f"{name}: {said.headers[name.lower()]}" for name in ("From", "To", "Call-ID", "CSeq")]
        vias = [f"Via: {via}" for via in said.vias]
        return "\r\n".join(["SIP/2.0 200 OK", *vias, *kept, "Content-Length: 0", "", ""]).encode()

    def _request(self, method: str, body: str, *, same_branch: bool = False) -> bytes:
        uri = f"sip:{self.number}@127.0.0.1:{self.service_port}"
        branch = f"z9hG4bKload{self.call}x{'INVITE' if same_branch else method}{self.sequence}"
        lines = [
            f"{method} {self.target or uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.own_port};branch={branch};rport",
            "Max-Forwards: 70",
            f"From: <sip:{self.caller}@127.0.0.1>;tag=load{self.call}",
            f"To: {self.to or f'<{uri}>'}",
            f"Call-ID: load-{self.call}",
            f"CSeq: {self.sequence} {method}",
            f"Contact: <sip:caller@127.0.0.1:{self.own_port}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
            "",
            body,
        ]
        return "\r\n".join(lines).encode()
