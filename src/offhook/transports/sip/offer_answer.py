"""Offer and answer (RFC 3264): which of what the caller offers is taken, and what is said in return.

Which sampling rate a call that comes in gets is our preference (wideband is far better understood); among codecs of
that rate the caller's order decides. A call that we place offers all codecs of both rates, and its answer decides. Once
answered, a call keeps its rate: what it hears and plays lies in a row of a table of that rate.

Media is encrypted by SDES (RFC 4568), in RTP/SAVP or, as best effort, in RTP/AVP with keys. Keys change when the peer
changes its own, both ways at once.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from offhook.media.messages import Codec, MediaTerms, SrtpKeys
from offhook.transports.sip.audio_formats import accepted_formats, offered_formats, own_number
from offhook.transports.sip.sdes import Crypto, Srtp, cryptos_in, new_crypto, offered_cryptos
from offhook.transports.sip.session_description import (
    Direction,
    MediaDescription,
    Origin,
    SdpInvalid,
    SessionDescription,
    literal_address,
    parse_rtcp_address,
    parse_session_description,
)

PTIME_MS: Final = 20
PLAIN_PROTOCOLS: Final = frozenset({"RTP/AVP", "RTP/AVPF"})
SECURE_PROTOCOLS: Final = frozenset({"RTP/SAVP", "RTP/SAVPF"})
CODECS: Final = (Codec.G722, Codec.PCMU, Codec.PCMA)
"""What is spoken here where nothing is set, in the order of preference. Opus is not in it: the library may be missing,
and it costs more."""
_USUAL_EVENT_CLOCK: Final = 8000
"""Many telephones have no other one, also beside Opus."""


class NotAcceptable(ValueError):
    """Nothing of the description can be used: 488, with this Warning (RFC 3261 20.43)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.warning = f'{code} offhook "{text}"'


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a description of the peer's comes to. `line` is the m= line in use; `held`: the peer listens to nobody.
    `crypto`: our own key, under the tag that was agreed on; None: not encrypted."""

    theirs: SessionDescription
    line: int
    terms: MediaTerms
    held: bool
    crypto: Crypto | None = None


class MediaSession:
    """One call's side of offer and answer: what was agreed last, and the numbers of our own descriptions.

    `address` is where our RTP is expected, None until the call is answered or placed. `codecs` are those that are
    spoken, in the order of our preference. `placed`: the call is ours, and its row is taken when the answer says of
    which rate. `srtp`: whether it is encrypted, `setting` being where that is written down. `tones`: keys are
    listened for in the audio, also of peers that agree to telephone events.
    """

    def __init__(
        self,
        codecs: Sequence[Codec] = CODECS,
        *,
        placed: bool = False,
        srtp: Srtp = Srtp.ACCEPT,
        setting: str = "sip.srtp",
        tones: bool = False,
    ) -> None:
        self._codecs = tuple(codecs)
        self._placed = placed
        self._srtp = srtp
        self._setting = setting
        self._tones = tones
        self._asked: tuple[Codec, ...] = ()
        self._own_keys: tuple[Crypto, ...] = offered_cryptos() if srtp.offered else ()
        self._asked_keys: tuple[Crypto, ...] = ()
        self.agreed: Agreed | None = None
        self.address: tuple[str, int] | None = None
        self.offer_pending = False
        self._session_id = str(secrets.randbits(48))
        self._version = 0
        self._printed: SessionDescription | None = None

    @property
    def terms(self) -> MediaTerms:
        """What was agreed; before any agreement the first of what we would offer."""
        if self.agreed:
            return self.agreed.terms
        first = self._offered_codecs()[0]
        return MediaTerms(codec=first, payload_type=own_number(first))

    def take_offer(self, body: bytes) -> None:
        """Agree to an offer. Raises NotAcceptable, and nothing has changed."""
        spoken = _of_rate(self._codecs, self.terms.codec.rate) if self.agreed else self._codecs
        self.agreed = self._agree(body, spoken, answer=False)

    def take_answer(self, body: bytes) -> None:
        """The peer's answer to our last offer. Raises NotAcceptable, and nothing has changed.

        A placed call may be answered several times: early (183), by several branches of a fork, and finally (200); the
        last one holds, also when its rate is another one than that of the early answer.
        """
        self.agreed = self._agree(body, self._asked, answer=True)
        self.offer_pending = False

    def answer(self) -> bytes:
        """The answer to the offer that was taken last."""
        if self.agreed is None or self.address is None:
            raise RuntimeError("an answer needs an offer and an address")
        theirs, terms = self.agreed.theirs, self.agreed.terms
        media = tuple(
            self._accepted(line, terms) if at == self.agreed.line else _rejected(line)
            for at, line in enumerate(theirs.media)
        )
        return self._print(media, theirs.timing)

    def offer(self) -> bytes:
        """Our own offer: of a call that we place, for an INVITE that brought none, or in a call, where it is what was
        agreed before and its like. Said again (to a challenge, a redirection), it is the same."""
        if self.address is None:
            raise RuntimeError("an offer needs an address")
        self.offer_pending = True
        self._asked, self._asked_keys = tuple(self._offered_codecs()), self._keys_to_offer()
        port = self.address[1]
        formats = offered_formats(self._asked, self.agreed.terms if self.agreed else None)
        audio = MediaDescription(
            kind="audio",
            port=port,
            protocol="RTP/SAVP" if self._offers_nothing_else() else "RTP/AVP",
            formats=formats.names,
            direction=Direction.SENDRECV,
            rtpmaps=formats.maps,
            attributes=(
                *formats.parameters,
                ("ptime", str(PTIME_MS)),
                *(("crypto", str(each)) for each in self._asked_keys),
            ),
        )
        media = [audio]
        if self.agreed:
            media = [
                audio if at == self.agreed.line else _rejected(line) for at, line in enumerate(self.agreed.theirs.media)
            ]
        return self._print(tuple(media), "0 0")

    def _agree(self, body: bytes, spoken: Sequence[Codec], *, answer: bool) -> Agreed:
        """Take the first audio line that can be used with what is spoken, an encrypted one before plain ones.

        A call in progress may switch its audio off (port 0), which is a hold in both directions. `answer`: the order of
        codecs is the peer's choice among what we offered (RFC 3264 6.1), of whatever rate.
        """
        try:
            theirs = parse_session_description(body)
        except SdpInvalid as error:
            raise NotAcceptable(399, f"The session description cannot be read: {error}") from error
        problem = NotAcceptable(304, "No audio is offered")
        lines = [(at, line) for at, line in enumerate(theirs.media) if line.kind == "audio"]
        for at, line in sorted(lines, key=lambda each: not _encrypted(each[1])):
            if line.port == 0 and self.agreed is None:
                continue
            mismatch = self._protocol_mismatch(line)
            if mismatch is not None:
                problem = mismatch
                continue
            crypto, keys = self._keys_with(line, answer=answer)
            if keys is None and (self._srtp is Srtp.REQUIRE or line.protocol.upper() in SECURE_PROTOCOLS):
                problem = NotAcceptable(
                    399, f"No key of SDES (RFC 4568) that is usable here comes with {line.protocol[:32]}"
                )
                continue
            terms = _terms(theirs, line, spoken, answer=answer)
            if terms is not None:
                held = not terms.sending
                return Agreed(theirs=theirs, line=at, terms=self._own_terms(terms, keys), held=held, crypto=crypto)
            problem = NotAcceptable(305, f"None of {', '.join(spoken)} is offered")
        raise problem

    def _protocol_mismatch(self, line: MediaDescription) -> "NotAcceptable | None":
        """What speaks against this line: a protocol that is unknown here, or one that the setting forbids."""
        protocol = line.protocol.upper()
        if protocol not in PLAIN_PROTOCOLS | SECURE_PROTOCOLS:
            named = line.protocol[:32].replace('"', "")
            return NotAcceptable(302, f"{named} is not spoken here, RTP/AVP and RTP/SAVP are")
        if self._srtp is Srtp.OFF and protocol in SECURE_PROTOCOLS:
            return NotAcceptable(302, f"Encrypted media is off here: {self._setting} = 'off'")
        if self._srtp is Srtp.REQUIRE and not _encrypted(line):
            return NotAcceptable(302, f"Media must be encrypted here: {self._setting} = 'require'")
        return None

    def _own_terms(self, terms: MediaTerms, keys: SrtpKeys | None) -> MediaTerms:
        """What the line comes to with our keys and our trunk's ways."""
        return replace(terms, srtp=keys, inband_keys=terms.inband_keys or self._tones)

    def _keys_with(self, line: MediaDescription, *, answer: bool) -> tuple[Crypto | None, SrtpKeys | None]:
        """The keys that this line comes to: our own as a line under the tag agreed on, and both. The peer's key of
        before keeps ours of before, as does a line that is switched off."""
        theirs = () if self._srtp is Srtp.OFF else cryptos_in(line.attributes)
        before = None if self.agreed is None else self.agreed.crypto
        known = self.terms.srtp
        if line.port == 0:
            return before, known
        if answer:
            ours = {each.tag: each for each in self._asked_keys}
            for crypto in theirs:
                own = ours.get(crypto.tag)
                if own is not None and own.suite == crypto.suite:
                    return own, SrtpKeys(own.suite, own.key, crypto.key)
            return None, None
        if not theirs:
            return None, None
        if before is not None and known is not None:
            for crypto in theirs:
                if (crypto.suite, crypto.key) == (known.suite, known.receiving):
                    return replace(before, tag=crypto.tag), known
        own = new_crypto(theirs[0].tag, theirs[0].suite)
        return own, SrtpKeys(own.suite, own.key, theirs[0].key)

    def _offered_codecs(self) -> list[Codec]:
        """In a call those of its rate, what is in use first. A call that we place offers all. An INVITE without an
        offer gets narrowband if it can be: its row is taken before the answer is known, and everybody has G.711."""
        if self.agreed:
            spoken = _of_rate(self._codecs, self.agreed.terms.codec.rate)
            return sorted(spoken, key=lambda codec: codec is not self.terms.codec)
        if self._placed:
            return list(self._codecs)
        return _of_rate(self._codecs, min(codec.rate for codec in self._codecs))

    def _keys_to_offer(self) -> tuple[Crypto, ...]:
        """In a call the key in use, which therefore goes on; before it all suites, when we offer any."""
        if self.agreed is None:
            return self._own_keys
        return () if self.agreed.crypto is None else (self.agreed.crypto,)

    def _offers_nothing_else(self) -> bool:
        if self.agreed is None:
            return self._srtp is Srtp.REQUIRE
        return self.agreed.theirs.media[self.agreed.line].protocol.upper() in SECURE_PROTOCOLS

    def _accepted(self, line: MediaDescription, terms: MediaTerms) -> MediaDescription:
        assert self.address is not None
        if line.port == 0:
            return _rejected(line)
        port = self.address[1]
        formats = accepted_formats(terms)
        attributes: list[tuple[str, str | None]] = list(formats.parameters)
        attributes.append(("ptime", str(PTIME_MS)))
        if self.agreed is not None and self.agreed.crypto is not None:
            attributes.append(("crypto", str(self.agreed.crypto)))
        return MediaDescription(
            kind="audio",
            port=port,
            protocol=line.protocol,
            formats=formats.names,
            direction=self._answered_direction(),
            rtpmaps=formats.maps,
            attributes=tuple(attributes),
        )

    def _answered_direction(self) -> Direction:
        """The mirror of the offered direction (RFC 3264 6.1), also for an old-style hold."""
        assert self.agreed is not None
        theirs = self.agreed.theirs
        offered = theirs.direction_of(theirs.media[self.agreed.line])
        return Direction.of(sends=offered.receives, receives=offered.sends)

    def _print(self, media: tuple[MediaDescription, ...], timing: str) -> bytes:
        """The version grows when what is said differs from what was said before (RFC 3264 8)."""
        assert self.address is not None
        host = self.address[0]
        origin = Origin("offhook", self._session_id, str(self._version), host)
        description = SessionDescription(origin=origin, media=media, connection=host, timing=timing)
        if self._printed is not None and description != self._printed:
            self._version += 1
            description = replace(description, origin=replace(origin, version=str(self._version)))
        self._printed = description
        return str(description).encode()


def _of_rate(codecs: Iterable[Codec], rate: int) -> list[Codec]:
    return [codec for codec in codecs if codec.rate == rate]


def _encrypted(line: MediaDescription) -> bool:
    """Whether a line is about encrypted media, be it as best effort."""
    return line.protocol.upper() in SECURE_PROTOCOLS or any(name.lower() == "crypto" for name, _ in line.attributes)


def _terms(
    theirs: SessionDescription, line: MediaDescription, spoken: Sequence[Codec], *, answer: bool
) -> MediaTerms | None:
    by_name = {codec.value.upper(): codec for codec in spoken}
    usable: list[tuple[Codec, int]] = []
    events: dict[int, int] = {}  # by their clock
    for name in line.formats:
        rtpmap = line.mapped(name)
        if rtpmap is None or not (name.isascii() and name.isdigit() and int(name[:4]) < 128):
            continue
        codec = by_name.get(rtpmap.encoding)
        if codec is not None and rtpmap.clock == codec.clock:
            usable.append((codec, int(name)))
        elif rtpmap.encoding == "TELEPHONE-EVENT":
            events.setdefault(rtpmap.clock, int(name))
    if not usable:
        return None
    offered = {codec for codec, _ in usable}
    rate = usable[0][0].rate if answer else next(codec.rate for codec in spoken if codec in offered)
    chosen = next((codec, payload_type) for codec, payload_type in usable if codec.rate == rate)
    event_clock = next((clock for clock in (chosen[0].clock, _USUAL_EVENT_CLOCK) if clock in events), None)
    telephone_event = None if event_clock is None else events[event_clock]
    host = literal_address(theirs.connection_of(line))
    direction = theirs.direction_of(line)
    connection = theirs.connection_of(line)
    silenced = connection in {"0.0.0.0", "::"}  # noqa: S104 -- an old-style hold (RFC 2543)
    return MediaTerms(
        codec=chosen[0],
        payload_type=chosen[1],
        remote=(host, line.port) if host and line.port else None,
        telephone_event=telephone_event,
        sending=direction.receives and not silenced and line.port > 0,
        receiving=direction.sends and line.port > 0,
        inband_keys=telephone_event is None,  # as tones, then
        rtcp=parse_rtcp_address(line, host),
        telephone_event_clock=None if event_clock == chosen[0].clock else event_clock,
    )


def _rejected(line: MediaDescription) -> MediaDescription:
    return MediaDescription(kind=line.kind, port=0, protocol=line.protocol, formats=line.formats)
