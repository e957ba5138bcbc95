"""A caller: does its steps, hears the assistant, and remembers both."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, assert_never

import numpy as np
import numpy.typing as npt

from offhook.media.messages import TICK_MS
from offhook.transports.call_leg import Offer
from offhook.transports.simulator.hearing import Hearing, Span
from offhook.transports.simulator.leg import CallEnding, FarEnd, LegOfFarEnd, LegState, SimulatorLeg
from offhook.transports.simulator.rtp_end import AudioHeard, Heard, KeyHeard, RtpEnd
from offhook.transports.simulator.script import KeyDown, Script, Silence, Speech
from offhook.transports.simulator.steps import (
    HangUp,
    Hold,
    ReadyStep,
    Resume,
    Step,
    StepOutcome,
    Voice,
    made_ready,
)

Samples = npt.NDArray[np.int16]

LATE_FRAMES: Final = 5
"""So many missing frames the caller bridges by speaking on; over that, the line was dead and its own words wait."""
_FAR_JUMP_S: Final = 7200
_LARGEST_PACKET: Final = 4096


class Caller:
    """One call, seen from who is at the other end of it: a caller, made by `SimulatorListener.call`, or somebody who
    is called, made by `SimulatorDialler.dial`, both within a running loop.

    Its time goes on with what it hears: for each 20 ms from the assistant it sends its own next 20 ms. Frames that
    never came show as silence on both sides, as long as the assistant's RTP timestamps tell of them.

    Args:
        offer: the call to be placed.
        voice: speaks `SayText`; None: such a step is an error.
        ssrc: of its stream.
        record: whether `recording` will have something to give.
        audible_above_dbfs: what is below this level counts as silence.
        referral: what comes of it when it is told to call somebody else (SIP REFER), as a status; None: it never says.
        make_leg: the leg that it shows to the house: that of a caller, or of somebody who is called.
    """

    def __init__(
        self,
        offer: Offer,
        *,
        voice: Voice | None,
        ssrc: int,
        record: bool,
        audible_above_dbfs: float,
        referral: int | None = 200,
        make_leg: Callable[[Offer, socket.socket, FarEnd], LegOfFarEnd] = SimulatorLeg,
    ) -> None:
        self.rate: Final = offer.terms.codec.rate
        self._voice = voice
        self._referral = referral
        self.referred_to: Final[list[str]] = []
        self._terms = offer.terms
        self._frame = self.rate * TICK_MS // 1000
        self._silence: Final = np.zeros(self._frame, np.int16)
        self._hearing = Hearing(self.rate, audible_above_dbfs=audible_above_dbfs, record=record)
        self._script = Script(self._hearing, self._frame)
        self._waiting: dict[int, asyncio.Future[StepOutcome]] = {}
        self._rtp = RtpEnd(offer.terms, ssrc)
        self._heard_ssrc: int | None = None
        self._heard_until = 0
        self._keys_heard: list[tuple[int, str]] = []
        self._packets_refused = 0
        self._connected = asyncio.Event()
        self._was_connected = False
        self._over = asyncio.Event()
        self._ending: CallEnding | None = None

        near, self._socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        near.setblocking(False)
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self.exchange)
        self.leg: Final = make_leg(offer, near, self)

    # --- the call

    @property
    def is_ringing(self) -> bool:
        return self.leg.state in {LegState.RINGING, LegState.EARLY}

    @property
    def is_connected(self) -> bool:
        return self.leg.state is LegState.CONNECTED

    @property
    def ending(self) -> CallEnding | None:
        """Why the call is over; None while it is not."""
        return self._ending

    async def connected(self) -> bool:
        """Wait until the call is taken: True; or over without that: False."""
        await self._connected.wait()
        return self._was_connected

    async def over(self) -> CallEnding:
        """Wait until the call is over."""
        await self._over.wait()
        assert self._ending is not None
        return self._ending

    async def do(self, step: Step) -> StepOutcome:
        """Do one more step behind the others, and wait until it is done.

        Raises:
            OffhookError: as `made_ready`.
        """
        number = self.add(await made_ready(step, self._voice, self.rate))
        self._obey_signals()
        self._settle()
        if number not in self._script.outcomes:
            self._waiting[number] = self._loop.create_future()
            return await self._waiting[number]
        return self._script.outcomes[number]

    def add(self, step: ReadyStep) -> int:
        """Put a step, made ready for the leg's rate, behind the others without waiting for it; gives its number."""
        number = self._script.add(step)
        if self._ending is not None:
            self._script.abandon()
        return number

    def hang_up(self) -> None:
        """End the call now, whatever the steps say; while it rings, cancel it, or do not take it."""
        self.leg.far_end_hangs_up()

    # --- what it heard and said

    @property
    def now_ms(self) -> int:
        """How long the call has lasted, on the caller's own timeline."""
        return self._hearing.now_ms

    @property
    def heard(self) -> Sequence[Span]:
        """When the assistant was audible; pauses under 300 ms are bridged."""
        return self._hearing.heard

    @property
    def first_heard_ms(self) -> int | None:
        """When the first audible frame of the assistant began; None: never."""
        return self.heard[0].start_ms if self.heard else None

    @property
    def last_heard_ms(self) -> int | None:
        """When the last audible frame of the assistant ended; None: never."""
        return self.heard[-1].end_ms if self.heard else None

    @property
    def said(self) -> Sequence[Span]:
        """When the caller spoke, one stretch for each `Say` and `SayText`."""
        return self._hearing.said

    @property
    def keys_heard(self) -> str:
        """The keys that the assistant pressed."""
        return "".join(key for _, key in self._keys_heard)

    @property
    def outcomes(self) -> Sequence[StepOutcome]:
        """How the steps done so far ended, in order."""
        return tuple(outcome for _, outcome in sorted(self._script.outcomes.items()))

    @property
    def packets_refused(self) -> int:
        """How many of its packets the house's socket did not take."""
        return self._packets_refused

    def recording(self) -> Samples:
        """(n, 2) int16 at `rate`, aligned sample by sample: left what the caller said, right what it heard then."""
        return self._hearing.recording()

    # --- the line

    def exchange(self) -> int:
        """Take all packets that wait and answer each with a frame; gives how many there were. The event loop calls it;
        under a clock by hand it may be called after each tick too."""
        count = 0
        while self._ending is None:
            try:
                packet = self._socket.recv(_LARGEST_PACKET)
            except (BlockingIOError, InterruptedError):
                break
            except ConnectionError:
                break  # the house closed its end; the leg will say why
            count += 1
            if self.leg.state in {LegState.EARLY, LegState.CONNECTED}:
                self._take(packet)
        return count

    def be_connected(self) -> None:
        self._was_connected = True
        self._connected.set()
        self._obey_signals()
        self._settle()

    def be_referred(self, target: str) -> int | None:
        """Told to call somebody else: it is written down, and comes to what was said beforehand."""
        self.referred_to.append(target)
        return self._referral

    def be_over(self, ending: CallEnding) -> None:
        self._ending = ending
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._script.abandon()
        self._settle()
        self._connected.set()
        self._over.set()

    def _take(self, packet: bytes) -> None:
        heard = self._rtp.read(packet)
        if heard is None:
            return
        if heard.ssrc != self._heard_ssrc:
            self._heard_ssrc, self._heard_until = heard.ssrc, heard.timestamp
        if isinstance(heard, AudioHeard):
            self._pass_until(heard, heard.timestamp)
            if self._ahead(heard.timestamp) == 0:
                self._beat(self._whole_frame(heard.samples))
        else:
            self._note_key(heard)
            self._pass_until(heard, heard.timestamp + heard.duration)

    def _note_key(self, heard: KeyHeard) -> None:
        press = (heard.timestamp, heard.key)
        if not self._keys_heard or self._keys_heard[-1] != press:
            self._keys_heard.append(press)

    def _ahead(self, timestamp: int) -> int:
        """How many frames lie between what was heard until now and `timestamp`; negative: it lies in the past."""
        distance = (timestamp - self._heard_until + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000
        return round(distance / self._frame)

    def _pass_until(self, heard: Heard, timestamp: int) -> None:
        """Let time pass up to `timestamp`, in which no audio came."""
        missing = self._ahead(timestamp)
        if abs(missing) * TICK_MS > _FAR_JUMP_S * 1000:
            self._heard_until = heard.timestamp  # the stream was started anew
        elif missing > LATE_FRAMES:
            self._hearing.miss(missing)
            self._rtp.skip(missing)
            self._heard_until = self._heard_until + missing * self._frame & 0xFFFF_FFFF
        else:
            for _ in range(missing):
                self._beat(self._silence)

    def _beat(self, heard: Samples) -> None:
        self._heard_until = self._heard_until + self._frame & 0xFFFF_FFFF
        self._hearing.hear(heard)
        if self._ending is not None:
            return
        match self._script.next_frame():
            case Silence():
                self._send(self._rtp.audio(self._silence))
            case Speech(samples, begins):
                self._hearing.say(samples, begins=begins)
                self._send(self._rtp.audio(samples))
            case KeyDown() as down:
                self._press(down)
            case other:
                assert_never(other)
        self._obey_signals()
        self._settle()

    def _press(self, down: KeyDown) -> None:
        if self._terms.telephone_event is not None:
            self._send(self._rtp.key(down.key, down.frame, end=down.end, repeated=down.repeated))
            return
        if down.frame == 0 and not down.repeated:
            self.leg.far_end_presses(down.key)
        self._send(self._rtp.audio(self._silence))

    def _send(self, packet: bytes) -> None:
        try:
            self._socket.send(packet)
        except (BlockingIOError, ConnectionError):
            self._packets_refused += 1

    def _obey_signals(self) -> None:
        while self.is_connected and (signal := self._script.next_signal()) is not None:
            match signal:
                case HangUp():
                    self.leg.far_end_hangs_up()
                case Hold():
                    self.leg.far_end_changes(replace(self._terms, sending=False, receiving=False), held=True)
                case Resume():
                    self.leg.far_end_changes(self._terms, held=False)
                case _:
                    assert_never(signal)

    def _settle(self) -> None:
        """Tell those who wait for steps that are done."""
        for number in [number for number in self._waiting if number in self._script.outcomes]:
            waiting = self._waiting.pop(number)
            if not waiting.done():
                waiting.set_result(self._script.outcomes[number])

    def _whole_frame(self, samples: Samples) -> Samples:
        if len(samples) == self._frame:
            return samples
        return np.concatenate([samples, self._silence])[: self._frame]
