"""One table of calls: all rows of one sampling rate, and what happens to them in a tick.

Narrowband rows are at 8 kHz, wideband rows at 16 kHz. The parts of a row (jitter buffer, playout, loop …) keep their
own arrays; this file moves what they make from one to the next, in the order of the tick.
"""

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from operator import eq
from typing import Final

import numpy as np

from offhook.media.background_loop import BackgroundLoop, soft_limit
from offhook.media.bridge import OthersHeard
from offhook.media.heard import Heard
from offhook.media.jitter_buffer import JitterBuffer
from offhook.media.messages import (
    PACKETS_STOPPED_MS,
    TICK_MS,
    AudioEnd,
    KeyPressed,
    MediaTerms,
    OpenRow,
    PacketsStopped,
    RowFact,
    TelephoneEventSent,
)
from offhook.media.playout import Playout
from offhook.media.reception import Reception
from offhook.media.rtp import (
    HEADER_BYTES,
    Bytes,
    Kind,
    Mask,
    Numbers,
    OutgoingPackets,
    Packets,
    header_bytes,
    kinds_by_payload_type,
    parse,
)
from offhook.media.shared_audio import Rows, SharedLoops, SharedTable
from offhook.media.source_lock import Packet, Source, SourceLock
from offhook.media.srtp import SecureRows
from offhook.media.telephone_event import EventReceiver, EventSender
from offhook.media.wire import Arrivals, Inlets, Outlet, flush, outlet

_TELLS_SILENCE_EVERY: Final = PACKETS_STOPPED_MS // TICK_MS


class CallTable:
    """Rows of calls; `facts` collects what happened to them in the tick."""

    def __init__(self, shared: SharedTable, loops: SharedLoops, inlets: Inlets, number: int) -> None:
        rows = shared.shape.rows
        self.shape: Final = shared.shape
        self.facts: Final[list[RowFact]] = []
        self.heard: Final = Heard(shared)
        self.playout: Final = Playout(shared)
        self.loop: Final = BackgroundLoop(shared.shape, loops)
        self.others: Final = OthersHeard(shared.shape)
        self.lease: Final[Numbers] = np.zeros(rows, np.int64)
        self.open_rows: Rows = np.empty(0, np.intp)
        self._counters: Final = shared.counters
        self._jitter: Final = JitterBuffer(self.heard, shared.counters)
        self._reception: Final = Reception(shared.counters)
        self._secure: Final = SecureRows(shared.counters)
        self._lock: Final = SourceLock(rows)
        self._keys_heard: Final = EventReceiver()
        self.keys: Final = EventSender(shared.shape.frame)
        self._out: Final = OutgoingPackets(shared.shape)
        self._kinds: Final = np.zeros((rows, 128), np.uint8)
        self._sockets: Final[dict[int, socket.socket]] = {}
        self._inlets: Final = inlets
        self._number: Final = number
        self._to_settle: Final[set[int]] = set()
        self._terms: Final[dict[int, MediaTerms]] = {}
        self._remotes: Final[dict[int, Source]] = {}
        self._receiving: Final[Mask] = np.zeros(rows, np.bool_)
        self._flowing: Final[Mask] = np.zeros(rows, np.bool_)
        self._spent: Final[Mask] = np.zeros(rows, np.bool_)
        self._last_packet: Final[Numbers] = np.zeros(rows, np.int64)
        self._told_silent: Final[Numbers] = np.zeros(rows, np.int64)  # how often
        self._ways: Final[dict[int, Outlet]] = {}  # of the rows that send
        self._stale_ways: Final[set[int]] = set()
        self._outlets: list[Outlet] = []
        self._outlet_rows: Rows = np.empty(0, np.intp)
        self._keying: list[int] = []
        self._keying_anew = False
        self.unsent = 0

    # --- commands

    def open(self, order: OpenRow, sock: socket.socket, tick: int) -> None:
        """Take a row into the table. What its counters say of the same lease is gone on with."""
        row, terms = order.row, order.terms
        left = self._counters[row]
        resumed = was_open(left, order.lease)
        timestamp = order.timestamp
        if resumed:
            timestamp = int(left["timestamp"]) + (tick - int(left["tick"]) - 1) * terms.codec.step
        else:
            self._counters[row] = np.zeros((), self._counters.dtype)
            left["lease"], left["utterance"] = order.lease, -1
        left["ssrc"] = order.ssrc & 0xFFFFFFFF
        self._sockets[row] = sock
        self._inlets.open(self._number, row, sock)
        self.lease[row] = order.lease
        self._lock.forget(row)
        self._out.open(row, terms.codec, order.ssrc, order.sequence, timestamp, tick)
        self.heard.open(row, int(left["heard"]))
        self.playout.open(row, order.lease, int(left["played"]))
        if resumed and left["utterance"] >= 0:
            self.playout.resume(row, int(left["utterance"]), int(left["utterance_start"]), int(left["utterance_sent"]))
        self.loop.open(row)
        if resumed:
            self.loop.resume(row, int(left["loop_position"]))
        self._spent[row] = False
        self._told_silent[row] = 0
        self._last_packet[row] = tick
        self.open_rows = np.array(sorted(self._sockets), np.intp)
        self._use(row, terms)
        self.write(np.array([row]))
        if resumed and left["remote_port"]:
            self._remotes[row] = (left["remote_host"].decode(), int(left["remote_port"]))

    def change(self, row: int, terms: MediaTerms, tick: int, *, new_peer: bool = False) -> None:
        """The leg was negotiated anew: its peer is learned again, and the frame that is prepared is written in the
        new codec. `new_peer`: it was negotiated with somebody else."""
        if terms.receiving and not self._receiving[row]:
            self._last_packet[row] = tick
            self._told_silent[row] = 0
        if new_peer or terms.remote != self._terms[row].remote:
            self._lock.learn_anew(row, shun=new_peer)
            self._inlets.unsettle(self._sockets[row])
            self._counters["remote_port"][row] = 0
        if terms.sending and not self._terms[row].sending:
            self._out.mark(np.array([row]))
        self._use(row, terms)
        self.write(np.array([row]))

    def close(self, row: int) -> socket.socket:
        """Forget the row; returns its socket, which is the caller's to close."""
        self.playout.close(row)
        self.loop.open(row)
        self.keys.forget(row)
        self._keys_heard.forget(row)
        self._lock.forget(row)
        self._reception.forget(row)
        self._secure.forget(row)
        self._receiving[row] = self._spent[row] = self._flowing[row] = False
        del self._terms[row], self._remotes[row]
        self._to_settle.discard(row)
        sock = self._sockets.pop(row)
        self._inlets.close(sock)
        self.open_rows = np.array(sorted(self._sockets), np.intp)
        self._stale_ways.add(row)
        return sock

    def cut(self, row: int, utterance: int, how: AudioEnd) -> None:
        """Cut an utterance, in the frame that is prepared."""
        self.facts.extend(self.playout.cut(row, utterance, how, bool(self._flowing[row])))
        self.write(np.array([row]))

    def voice_onset(self, row: int, tick: int) -> None:
        """Voice began on a row: let its reflex act."""
        self.facts.extend(self.playout.voice_onset(row, tick, bool(self._flowing[row])))
        self.write(np.array([row]))

    # --- the tick

    def send(self, tick: int, missed: int) -> None:
        """Send what was prepared in the tick before. Speech that has come since then for a row whose frame is without
        any goes along, instead of waiting for the next tick."""
        late = self.playout.come_late(self.open_rows)
        if len(late):
            self.playout.prepare(late)
            self.write(late)
        self._make_way_for_keys()
        self._collect_outlets()
        rows = self._outlet_rows
        if missed:
            self._out.mark(self.open_rows)
        self._out.stamp(rows, tick)
        # Noted before it is sent: if this process dies in between, a number is missed, never used twice.
        counters = self._counters
        counters["tick"][rows] = tick
        counters["sequence"][rows] = (self._out.sequence[rows] + 1) & 0xFFFF
        counters["timestamp"][rows] = self._out.timestamps(rows, tick + 1)
        counters["sent"][rows] += 1
        self.unsent += flush(self._outlets)
        self._out.advance(rows)
        self._spent[rows] = True
        self._send_keys(tick)
        self.facts.extend(self.playout.sent(rows, tick))
        if len(rows) < len(self.open_rows):  # those that are held, or press a key
            others = np.setdiff1d(self.open_rows, rows)
            counters["tick"][others] = tick
            counters["sequence"][others] = self._out.sequence[others]
            counters["timestamp"][others] = self._out.timestamps(others, tick + 1)

    def prepare(self) -> None:
        """Make the next frame of every row whose last one has left."""
        rows = self.open_rows[self._spent[self.open_rows]]
        self.playout.prepare(rows)
        self.loop.prepare(rows)
        self.write(rows[~self.others.sounding[rows]])  # the others' frames are made at the end of the tick
        self._spent[rows] = False

    def take(self, arrivals: Arrivals, tick: int) -> None:
        """Datagrams of this table's rows: what is audio of their streams goes to the jitter buffer."""
        rows, sources = arrivals.rows, arrivals.sources
        self._secure.take(rows, arrivals.data, arrivals.sizes)
        packets = parse(arrivals.data, arrivals.sizes)
        locked = self._lock.sources
        from_known = np.fromiter(map(eq, sources, map(locked.__getitem__, rows.tolist())), np.bool_, len(rows))
        kinds = self._kinds[rows, packets.payload_type]
        valid = packets.valid & self._receiving[rows]
        known = valid & self._lock.known(rows, packets.ssrc, from_known)
        strange = valid & ~known & (kinds != Kind.OTHER)
        if known.any():
            strange[known] = self._insert(rows[known], kinds[known], packets, known, tick)
        heard = rows[known & ~strange]
        self._lock.confirm(heard)
        if strange.any():
            strange &= ~np.isin(rows, heard)
        for k in np.flatnonzero(strange):
            row, packet = int(rows[k]), _packet(packets, int(k), int(kinds[k]))
            if not known[k] and self._lock.is_known(row, sources[k], packet.ssrc):
                self._insert_few(row, [packet], tick)  # this batch has settled it
            else:
                self._consider(row, sources[k], packet, tick)

    def listen(self, tick: int) -> None:
        """All that has arrived was taken: missing packets, silence, peers that have fallen silent."""
        rows = self.open_rows
        self._jitter.wait(rows[self._receiving[rows] & self._lock.locked[rows]])
        for known in self._to_settle:
            self._inlets.settle(self._sockets[known], self._lock.sources[known])
        self._stale_ways.update(self._to_settle)
        self._to_settle.clear()
        silent = tick - self._last_packet[rows]
        if silent.max(initial=0) < _TELLS_SILENCE_EVERY:
            return
        is_told = self._receiving[rows] & (silent // _TELLS_SILENCE_EVERY > self._told_silent[rows])
        for row, ticks in zip(rows[is_told].tolist(), silent[is_told].tolist(), strict=True):
            self._told_silent[row] = ticks // _TELLS_SILENCE_EVERY
            self._lock.doubt(row)
            self._inlets.unsettle(self._sockets[row])
            self._stale_ways.add(row)
            self.facts.append(PacketsStopped(int(self.lease[row]), ticks * TICK_MS))

    def publish(self, phase: Numbers, voice_tick: Numbers) -> None:
        """Let the service process see where every row is."""
        rows, counters, playout = self.open_rows, self._counters, self.playout
        self._secure.publish()
        counters["heard"][rows] = self.heard.count[rows]
        counters["played"][rows] = playout.consumed(rows)
        counters["utterance"][rows] = np.where(playout.started[rows] >= 0, playout.current[rows], -1)
        counters["utterance_start"][rows] = playout.started[rows]
        counters["utterance_sent"][rows] = playout.samples_sent[rows]
        counters["loop_position"][rows] = self.loop.position[rows]
        counters["voice_phase"][rows] = phase[rows]
        counters["voice_tick"][rows] = voice_tick[rows]

    @property
    def in_use(self) -> bool:
        """Whether any row is open."""
        return bool(self._sockets)

    def write(self, rows: Rows) -> None:
        """Speech, loop and what is heard of others into the packets of these rows."""
        speaking, sounding = self.playout.speaking[rows], self.loop.sounding[rows]
        if len(self.others.rows):
            with_others = self.others.sounding[rows]
            if with_others.any():
                self._write_with_others(rows[with_others])
                rows, speaking, sounding = rows[~with_others], speaking[~with_others], sounding[~with_others]
        quiet = ~(speaking | sounding)
        if quiet.any():
            self._out.write_silence(rows[quiet])
        clean = rows[speaking & ~sounding]
        if len(clean):
            self._out.write(clean, self.playout.speech[clean])
        mixed = rows[sounding]
        if len(mixed):
            self._out.write(mixed, soft_limit(self.loop.frames[mixed] + self.playout.speech[mixed]))

    def _write_with_others(self, rows: Rows) -> None:
        frames = self.others.frames[rows]
        own = self.playout.speaking[rows] | self.loop.sounding[rows]
        if own.any():
            looping = self.loop.sounding[rows]
            frames[looping] += self.loop.frames[rows[looping]]
            frames[own] = soft_limit(frames[own] + self.playout.speech[rows[own]])
        self._out.write(rows, np.clip(np.rint(frames), -32768, 32767).astype(np.int16))

    # --- inside

    def _use(self, row: int, terms: MediaTerms) -> None:
        self._terms[row] = terms
        self._kinds[row] = kinds_by_payload_type(terms)
        self._receiving[row] = terms.receiving
        self._out.use(row, terms.codec, terms.payload_type, encrypted=terms.srtp is not None)
        self._secure.use(row, terms.srtp, int(self._out.ssrc[row]), int(self._out.sequence[row]))
        if not self._lock.locked[row] or row not in self._remotes:
            self._remotes[row] = numeric(terms.remote)
        self._stale_ways.add(row)

    def _collect_outlets(self) -> None:
        """Bring up to date by which ways packets leave."""
        if not self._stale_ways and not self._keying_anew:
            return
        for row in self._stale_ways:
            self._ways.pop(row, None)
            sock = self._sockets.get(row)
            self._flowing[row] = sock is not None and self._terms[row].sending and self._reaches(sock, row)
            if self._flowing[row]:
                send, datagram = self._outlet(row, self._out.views[row])
                self._ways[row] = self._out.through(row, send), datagram
        self._stale_ways.clear()
        self._keying_anew = False
        rows = sorted(self._ways.keys() - self._keying)
        self._outlets, self._outlet_rows = [self._ways[row] for row in rows], np.array(rows, np.intp)

    def _reaches(self, sock: socket.socket, row: int) -> bool:
        return self._remotes[row] is not None or sock.family == socket.AF_UNIX

    def _outlet(self, row: int, data: memoryview) -> Outlet:
        sock = self._sockets[row]
        send, datagram = outlet(sock, data, self._remotes[row], settled=self._inlets.is_settled(sock))
        return self._secure.through(row, send), datagram

    def _make_way_for_keys(self) -> None:
        """Rows on which a key is pressed send no audio: their prepared frame waits."""
        waiting = self.keys.rows()
        if not waiting and not self._keying:
            return
        self._collect_outlets()
        keying = [row for row in waiting if self._flowing[row] and self.keys.begin(row)]
        if keying != self._keying:
            self._keying = keying
            self._keying_anew = True

    def _send_keys(self, tick: int) -> None:
        for row in self._keying:
            at = np.array([row])
            terms, sequence = self._terms[row], int(self._out.sequence[row])
            timestamp, ssrc = int(self._out.timestamps(at, tick)[0]), int(self._out.ssrc[row])
            if terms.telephone_event is not None:
                step = terms.event_clock * TICK_MS // 1000
                event = self.keys.next_packet(row, terms.telephone_event, sequence, timestamp, ssrc, step)
                data, digit, done = event.data, event.digit, event.done
            else:
                sound = self.keys.next_tone(row)
                payload = self._out.encode_one(row, sound.samples)
                data = header_bytes(terms.payload_type, False, sequence, timestamp, ssrc) + payload
                digit, done = sound.digit, sound.done
            self._counters["sequence"][row] = (sequence + 1) & 0xFFFF
            self._counters["sent"][row] += 1
            self._counters["events_sent"][row] += terms.telephone_event is not None
            self.unsent += flush([self._outlet(row, memoryview(data))])
            self._out.skip(at)
            if done:
                self.facts.append(TelephoneEventSent(int(self.lease[row]), digit))

    def _insert(self, rows: Rows, kinds: Bytes, packets: Packets, which: Mask, tick: int) -> Mask:
        """Packets of known streams; returns those that are too far from theirs to be of it."""
        sequence, timestamp, length = packets.sequence[which], packets.timestamp[which], packets.length[which]
        payload = packets.data[:, HEADER_BYTES : HEADER_BYTES + int(length.max())][which]
        foreign, late = self._jitter.take(rows, kinds, sequence, timestamp, length, payload)
        for k in np.flatnonzero((kinds == Kind.EVENT) & ~foreign):
            self._key(int(rows[k]), int(timestamp[k]), payload[k, : length[k]].tobytes())
        ours = ~foreign
        self._reception.take(rows[ours], sequence[ours], late[ours])
        self._reception.sample(rows, timestamp, ours & (kinds != Kind.EVENT), self._sockets, self._terms, tick)
        self._last_packet[rows] = tick
        for again in set(rows[self._told_silent[rows] > 0].tolist()):
            self._told_silent[again] = 0
            self._lock.trust(again)
            self._to_settle.add(again)
        return foreign

    def _key(self, row: int, timestamp: int, payload: bytes) -> None:
        digit = self._keys_heard.take(row, timestamp, payload, self._terms[row].codec.clock)
        if digit is not None:
            self.facts.append(KeyPressed(int(self.lease[row]), digit))

    def _consider(self, row: int, source: Source, packet: Packet, tick: int) -> None:
        """A valid packet of no known stream: it may settle whose packets this row hears."""
        begun = self._lock.consider(row, source, packet)
        if not begun:
            return
        self._jitter.restart(row, begun[0].sequence, begun[0].timestamp)
        self._reception.restart(row, begun[0].ssrc, begun[0].sequence)
        self._keys_heard.forget(row)
        self._learn_remote(row, source)
        self._to_settle.add(row)
        self._insert_few(row, begun, tick)

    def _insert_few(self, row: int, packets: Sequence[Packet], tick: int) -> None:
        """Packets of the row's stream, each by itself."""
        rows = np.full(len(packets), row)
        length = np.array([len(packet.payload) for packet in packets])
        payload = np.zeros((len(packets), int(length.max())), np.uint8)
        for line, packet in zip(payload, packets, strict=True):
            line[: len(packet.payload)] = packet.payload
        kinds = np.array([packet.kind for packet in packets], np.uint8)
        sequence = np.array([packet.sequence for packet in packets])
        self._jitter.take(rows, kinds, sequence, np.array([packet.timestamp for packet in packets]), length, payload)
        self._reception.take(rows, sequence, np.zeros(len(packets), np.bool_))
        for packet in packets:
            if packet.kind == Kind.EVENT:
                self._key(row, packet.timestamp, packet.payload.tobytes())
        self._last_packet[row] = tick
        self._told_silent[row] = 0

    def _learn_remote(self, row: int, source: Source) -> None:
        """Send to where the packets come from (RFC 4961)."""
        if not isinstance(source, tuple) or source == self._remotes[row]:
            return
        self._remotes[row] = source
        self._stale_ways.add(row)
        self._counters["remote_host"][row] = str(source[0]).encode()
        self._counters["remote_port"][row] = source[1]


def _packet(packets: Packets, k: int, kind: int) -> Packet:
    payload = packets.data[k, HEADER_BYTES : HEADER_BYTES + int(packets.length[k])].copy()
    return Packet(kind, int(packets.sequence[k]), int(packets.timestamp[k]), int(packets.ssrc[k]), payload)


def was_open(counters: np.void, lease: int) -> bool:
    """Whether a row's counters were left behind by this lease, in a media process that has died."""
    return int(counters["lease"]) == lease and int(counters["tick"]) > 0


def numeric(remote: tuple[str, int] | None) -> Source:
    """The address, if it is one that can be sent to: a name is not looked up here, its owner's packets will tell."""
    if remote is None or not 0 < remote[1] < 65536:
        return None
    try:
        return None if ip_address(remote[0]).is_unspecified else remote
    except ValueError:
        return None
