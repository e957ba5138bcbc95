"""Commands in, reports out: all that the media process and the rest of the house say to each other.

A *lease* is one use of one row of the call table, numbered by the service process and never used again, so that a late
report about an earlier call on the same row is recognised. A *tick* is 20 ms. Audio itself does not travel here: what a
row hears and what it shall play lie in shared memory, as int16 samples at the row's rate.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

TICK_MS = 20
PACKETS_STOPPED_MS: Final = 5000
"""A peer that has sent nothing for so long has stopped."""


class Codec(StrEnum):
    """How audio lies in an RTP payload. L16 is big-endian 16-bit at 16 kHz (RFC 3551 4.5.11): the simulator's."""

    PCMU = "PCMU"
    PCMA = "PCMA"
    L16 = "L16"
    G722 = "G722"
    OPUS = "opus"

    @property
    def rate(self) -> int:
        """The sampling rate in Hz; it decides the table (narrowband or wideband) that a row lies in."""
        return 16000 if self in {Codec.L16, Codec.G722, Codec.OPUS} else 8000

    @property
    def clock(self) -> int:
        """The rate of RTP timestamps in Hz: that of the samples, but for G.722, whose is 8000 (RFC 3551 4.5.2), and for
        Opus, whose is 48000 (RFC 7587 4.1)."""
        return {Codec.G722: 8000, Codec.OPUS: 48000}.get(self, self.rate)

    @property
    def step(self) -> int:
        """How far a tick moves the RTP timestamp."""
        return self.clock * TICK_MS // 1000

    @property
    def frame_bytes(self) -> int:
        """How long the payload of a tick is; of Opus, how long in the mean."""
        return {Codec.L16: 640, Codec.OPUS: 80}.get(self, 160)


SRTP_KEY_BYTES: Final = {
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
    "AEAD_AES_256_GCM": 44,
    "AEAD_AES_128_GCM": 28,
}
"""The suites of encrypted media, in the order in which we offer them, and how long each one's key with its salt is."""


@dataclass(frozen=True, slots=True)
class SrtpKeys:
    """How a leg's RTP is encrypted (RFC 3711): `suite` as in SDES (`AES_CM_128_HMAC_SHA1_80`), each direction's master
    key with its salt."""

    suite: str
    sending: bytes = field(repr=False)
    receiving: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MediaTerms:
    """What both ends of a leg agreed on.

    `remote` is where to send (host, port), None while unknown; symmetric RTP learns the real source (RFC 4961).
    `telephone_event` is the payload type of RFC 4733 events, None when the peer has none. `sending` / `receiving`
    are seen from here: on hold, `receiving` may be False. `srtp` None: plain RTP. `inband_keys`: keys are also listened
    for in the audio, for peers that send them as tones. `rtcp`: where the peer takes RTCP, None: the port above
    `remote`'s. `telephone_event_clock`: in which the peer counts how long a key is pressed, None: that of the codec.
    """

    codec: Codec
    payload_type: int
    remote: tuple[str, int] | None = None
    telephone_event: int | None = None
    sending: bool = True
    receiving: bool = True
    srtp: SrtpKeys | None = None
    inband_keys: bool = False
    rtcp: tuple[str, int] | None = None
    telephone_event_clock: int | None = None

    @property
    def event_clock(self) -> int:
        """The rate of the durations in telephone events, in Hz."""
        return self.telephone_event_clock or self.codec.clock


# --- commands: service process → media process


@dataclass(frozen=True, slots=True)
class OpenRow:
    """Take a row into the table; its socket's descriptor comes with it. The last three are the values for the first
    packet; where the row's counters in shared memory were left by this lease, they are gone on with instead."""

    lease: int
    row: int
    terms: MediaTerms
    ssrc: int
    sequence: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class ChangeTerms:
    """The leg was negotiated anew (hold, resume, another codec of the same rate, another address). `new_peer`: with
    somebody else, and what the one before may still send is not heard any more."""

    lease: int
    terms: MediaTerms
    new_peer: bool = False


@dataclass(frozen=True, slots=True)
class CloseRow:
    lease: int


@dataclass(frozen=True, slots=True)
class QueueAudio:
    """`samples` samples of `utterance` lie in the row's playout ring from absolute position `position` on.
    `final`: no more will come for it. An utterance of no samples at all still starts and finishes."""

    lease: int
    utterance: int
    position: int
    samples: int
    final: bool


@dataclass(frozen=True, slots=True)
class StopAudio:
    """Cut this utterance: it fades away in the first 8 ms of the frame that was prepared already."""

    lease: int
    utterance: int


@dataclass(frozen=True, slots=True)
class StopOnVoiceOnset:
    """Arm the reflex for this utterance, from `not_before_ms` after its first packet on."""

    lease: int
    utterance: int
    not_before_ms: int


@dataclass(frozen=True, slots=True)
class SetLoop:
    """Loop `samples` samples from sample `block` of the shared store of loops on (see media/shared_audio), at `volume`
    0.0-1.0; None: ramp out and drop."""

    lease: int
    block: int | None
    samples: int
    volume: float


@dataclass(frozen=True, slots=True)
class RestLoop:
    """Let the loop be silent (`resting`) or heard again; ramps both ways."""

    lease: int
    resting: bool


@dataclass(frozen=True, slots=True)
class SendTelephoneEvent:
    """Send one key as RFC 4733 events."""

    lease: int
    digit: str
    duration_ms: int = 120


@dataclass(frozen=True, slots=True)
class PlayFrom:
    """Play what the row of `source` hears, mixed with the row's own speech and loop, whatever their rates; None: no
    more, with a ramp. Two such orders are a bridge, one is early media."""

    lease: int
    source: int | None


@dataclass(frozen=True, slots=True)
class RearmVoice:
    """The caller's turn is over: the next onset needs the full evidence again."""

    lease: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """End the media process."""


Command: TypeAlias = (
    OpenRow
    | ChangeTerms
    | CloseRow
    | QueueAudio
    | StopAudio
    | StopOnVoiceOnset
    | SetLoop
    | RestLoop
    | SendTelephoneEvent
    | PlayFrom
    | RearmVoice
    | Shutdown
)


# --- reports: media process → service process


@dataclass(frozen=True, slots=True)
class VoiceOnset:
    """Voice began, or began again within a pause of the same turn. `heard` counts the row's samples received up to the
    start of the first positive chunk: where the words begin in the ring of what was heard."""

    lease: int
    heard: int


@dataclass(frozen=True, slots=True)
class VoicePause:
    """No voice any more; the last positive chunk ended at `last_voice_tick`."""

    lease: int
    last_voice_tick: int


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """A key, as a telephone event, or (`inband`) as tones in the audio; a peer that sends both is heard twice."""

    lease: int
    digit: str
    inband: bool = False


@dataclass(frozen=True, slots=True)
class AudioStarted:
    """The first packet of the utterance was sent in this tick."""

    lease: int
    utterance: int


class AudioEnd(StrEnum):
    FINISHED = "finished"
    STOPPED = "stopped"
    BY_VOICE = "by_voice"


@dataclass(frozen=True, slots=True)
class AudioEnded:
    """The utterance is over; `samples` of it were sent."""

    lease: int
    utterance: int
    samples: int
    end: AudioEnd


@dataclass(frozen=True, slots=True)
class TelephoneEventSent:
    lease: int
    digit: str


@dataclass(frozen=True, slots=True)
class PacketsStopped:
    """Nothing has been received on a row that should receive, for `silent_ms`; told every 5 s by the
    media process, then passed on twice: the first time, and when it is `gone`, nobody being there any more."""

    lease: int
    silent_ms: int
    gone: bool = False


RowFact: TypeAlias = (
    VoiceOnset | VoicePause | KeyPressed | AudioStarted | AudioEnded | TelephoneEventSent | PacketsStopped
)


@dataclass(frozen=True, slots=True)
class Report:
    """One tick. `late_ms` is how late the tick began, `busy_ms` how long its work took."""

    tick: int
    facts: tuple[RowFact, ...]
    late_ms: float
    busy_ms: float
