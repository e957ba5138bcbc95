"""The loop of the media process, and one tick of it by hand.

The order of a tick: obey, send what was prepared, prepare the next frame, take what has arrived, let rows have what
other rows have heard, detect voice, report.
So an onset is heard and its utterance's prepared frame changed in the same tick: it leaves in the next, and fades away
at its head.
"""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

import numpy as np

from offhook.media.bridge import Bridge
from offhook.media.call_table import CallTable, was_open
from offhook.media.inband_keys import InbandKeys
from offhook.media.messages import (
    AudioEnd,
    ChangeTerms,
    CloseRow,
    Command,
    KeyPressed,
    OpenRow,
    PlayFrom,
    QueueAudio,
    RearmVoice,
    RestLoop,
    RowFact,
    SendTelephoneEvent,
    SetLoop,
    Shutdown,
    StopAudio,
    StopOnVoiceOnset,
    VoiceOnset,
)
from offhook.media.shared_audio import SharedLoops, SharedTable
from offhook.media.voice_activity import Detector, Phase, VoiceActivity
from offhook.media.wire import Inlets

Arrived: TypeAlias = tuple[Command, socket.socket | None]


@dataclass(frozen=True, slots=True)
class SharedAudio:
    """All memory that the two processes share."""

    narrowband: SharedTable
    wideband: SharedTable
    loops: SharedLoops

    @property
    def tables(self) -> tuple[SharedTable, SharedTable]:
        """The tables, in the order of their numbers."""
        return self.narrowband, self.wideband

    @property
    def descriptors(self) -> tuple[int, int, int]:
        """What another process needs to see the same memory."""
        return self.narrowband.descriptor, self.wideband.descriptor, self.loops.descriptor

    def close(self) -> None:
        """Give the descriptors back."""
        for block in (self.narrowband, self.wideband, self.loops):
            block.close()


class Worker:
    """All calls of one core. `running` ends with `Shutdown`.

    Args:
        shared: the memory that lies between this worker and the service.
        detector: has a row for every row of both tables, the wideband ones last.
    """

    def __init__(self, shared: SharedAudio, detector: Detector) -> None:
        self._shared: Final = shared
        self._inlets: Final = Inlets(len(shared.tables))
        self._tables: Final = tuple(
            CallTable(table, shared.loops, self._inlets, number) for number, table in enumerate(shared.tables)
        )
        self._bridge: Final = Bridge([(table.heard, table.others) for table in self._tables])
        self._tones: Final = tuple(InbandKeys(table.heard) for table in self._tables)
        self._voice: Final = VoiceActivity(tuple(table.heard for table in self._tables), detector)
        self._places: Final[dict[int, tuple[int, int]]] = {}
        self.running = True

    def tick(self, tick: int, arrived: Iterable[Arrived] = (), missed: int = 0) -> tuple[RowFact, ...]:
        """Do the work of one tick; `missed` ticks before it were never begun. Returns what happened, in order."""
        for command, sock in arrived:
            self._obey(command, sock, tick)
        used = [table for table in self._tables if table.in_use]
        for table in used:
            table.send(tick, missed)
            table.prepare()
        for number, arrivals in self._inlets.drain():
            self._tables[number].take(arrivals, tick)
        for table in used:
            table.listen(tick)
        for table, rows in zip(self._tables, self._bridge.prepare(missed), strict=False):
            table.write(rows)
        facts = self._collect()
        for table, tones in zip(self._tables, self._tones, strict=True):
            facts += [KeyPressed(int(table.lease[row]), digit, inband=True) for row, digit in tones.detect()]
        for number, row, fact in self._voice.detect(tick):
            facts.append(fact)
            if isinstance(fact, VoiceOnset):
                self._tables[number].voice_onset(row, tick)
        facts += self._collect()
        for number, table in enumerate(self._tables):
            if not table.in_use:
                continue
            numbers = self._voice.rows_of(number)
            table.publish(self._voice.phase[numbers], self._voice.voice_tick[numbers])
        return tuple(facts)

    def close(self) -> None:
        """Close the sockets that were given to this worker."""
        for number, row in self._places.values():
            self._tables[number].close(row).close()
        self._places.clear()

    def _collect(self) -> list[RowFact]:
        facts: list[RowFact] = []
        for table in self._tables:
            facts += table.facts
            table.facts.clear()
        return facts

    def _obey(self, command: Command, sock: socket.socket | None, tick: int) -> None:
        """Commands for a lease that is not open come too late and change nothing."""
        if isinstance(command, OpenRow):
            assert sock is not None
            self._open(command, sock, tick)
            return
        if isinstance(command, Shutdown):
            self.running = False
            return
        if command.lease not in self._places:
            return
        number, row = self._places[command.lease]
        table = self._tables[number]
        match command:
            case ChangeTerms(terms=terms, new_peer=new_peer):
                table.change(row, terms, tick, new_peer=new_peer)
                self._tones[number].listen(row, terms.inband_keys)
                if not terms.receiving:
                    table.facts.extend(self._voice.hush(number, row))
            case CloseRow():
                self._close(command.lease)
            case QueueAudio():
                table.playout.queue(row, command)
            case StopAudio(utterance=utterance):
                table.cut(row, utterance, AudioEnd.STOPPED)
            case StopOnVoiceOnset(utterance=utterance, not_before_ms=not_before_ms):
                table.playout.arm(row, utterance, not_before_ms)
            case SetLoop(block=None):
                table.loop.drop(row)
            case SetLoop(block=int() as start, samples=samples, volume=volume):
                table.loop.start(row, start, samples, volume)
            case SetLoop():
                raise TypeError(command)
            case RestLoop(resting=resting):
                table.loop.rest(row, resting)
            case SendTelephoneEvent(digit=digit, duration_ms=duration_ms):
                table.keys.press(row, digit, duration_ms)
            case PlayFrom(source=source):
                self._bridge.play_from((number, row), None if source is None else self._places.get(source))
                table.facts.extend(self._voice.rest(self._bridge.both_ways()))
            case RearmVoice():
                self._voice.rearm(number, row)
            case _:
                assert_never(command)

    def _open(self, order: OpenRow, sock: socket.socket, tick: int) -> None:
        rate = order.terms.codec.rate
        number = next(n for n, table in enumerate(self._tables) if table.shape.rate == rate)
        sock.setblocking(False)
        counters = self._shared.tables[number].counters[order.row]
        resumed = was_open(counters, order.lease)
        self._tables[number].open(order, sock, tick)
        self._places[order.lease] = number, order.row
        self._tones[number].listen(order.row, order.terms.inband_keys)
        phase = Phase(int(counters["voice_phase"])) if resumed else Phase.QUIET
        self._voice.open(number, order.row, order.lease, phase, int(counters["voice_tick"]))

    def _close(self, lease: int) -> None:
        number, row = place = self._places.pop(lease)
        self._bridge.close(place)
        self._voice.rest(self._bridge.both_ways())
        self._voice.close(number, row)
        self._tones[number].listen(row, False)
        self._tables[number].close(row).close()


def detector_rows(shared: SharedAudio) -> int:
    """How many rows a detector needs for these tables."""
    return int(np.sum([table.shape.rows for table in shared.tables]))
