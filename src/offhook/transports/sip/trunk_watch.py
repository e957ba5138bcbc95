"""Asking a trunk without a registrar now and then whether it is there (OPTIONS, RFC 3261 section 11). Pure.

Any answer will do. It also keeps the way through a NAT open. Every method returns what follows; `next_deadline` says
when `advance` is due.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from offhook.transports.sip.account import Account, Path
from offhook.transports.sip.hop import ConnectionTrouble, Hop, Ms, earliest, host_and_port
from offhook.transports.sip.message import SipResponse
from offhook.transports.sip.response import ACCEPT, SERVER
from offhook.transports.sip.transaction import Key, NonInviteClientTransaction

MAX_FORWARDS: Final = 70
# How long one server may be silent while there is another. Timer F is for the last one.
SILENCE_MS: Final = 5000


@dataclass(frozen=True, slots=True)
class OptionsBegan:
    """A request is to be started; what it brings comes to `answered` or `timed_out`."""

    watch: "TrunkWatch"
    transaction: NonInviteClientTransaction


@dataclass(frozen=True, slots=True)
class FindServers:
    """The trunk's servers are wanted: `found` or `not_found`."""

    asker: "TrunkWatch"


@dataclass(frozen=True, slots=True)
class TrunkReachable:
    """It answers, for the first time or again."""

    account: Account
    hop: Hop


@dataclass(frozen=True, slots=True)
class TrunkUnreachable:
    """It does not answer, for the first time or any more."""

    account: Account
    trouble: ConnectionTrouble


WatchEffect: TypeAlias = OptionsBegan | FindServers | TrunkReachable | TrunkUnreachable
WatchEffects: TypeAlias = tuple[WatchEffect, ...]


class TrunkWatch:
    """One trunk. Of `account` the name, the place and `keep_alive_s` count. `reachable` None: not known yet."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.reachable: bool | None = None
        self._paths: tuple[Path, ...] = ()
        self._path_number = 0
        self._current: Key | None = None
        self._timers: dict[str, Ms] = {}
        self._call_id = secrets.token_hex(16)
        self._sequence = 0

    @property
    def next_deadline(self) -> Ms | None:
        return earliest(self._timers.values())

    def start(self) -> WatchEffects:
        """Ask for the first time."""
        return (FindServers(self),)

    def leave(self) -> WatchEffects:
        """Ask no more."""
        self._timers.clear()
        self._current = None
        return ()

    def advance(self, now: Ms) -> WatchEffects:
        """What the timers that are due bring about."""
        due = {name for name, at in self._timers.items() if at <= now}
        for name in due:
            del self._timers[name]
        if "silence" in due and self._current is not None:
            return self._fail(self._silent(), now)
        if "again" not in due:
            return ()
        return self._ask(now) if self.reachable else (FindServers(self),)

    def found(self, paths: Sequence[Path], now: Ms) -> WatchEffects:
        """The ways to the trunk, best first."""
        if not paths:
            return self.not_found("none of its addresses can be reached from sip.listen", now)
        self._paths, self._path_number = tuple(paths), 0
        return self._ask(now)

    def not_found(self, reason: str, now: Ms) -> WatchEffects:
        """The trunk's name leads nowhere."""
        self._paths = ()
        return self._fail(ConnectionTrouble(reason, f"Is the host of trunk[{self.account.name}] right?"), now)

    def answered(self, key: Key, response: SipResponse, now: Ms) -> WatchEffects:
        """The final response to our request, whatever it says."""
        del response
        if key != self._current:
            return ()
        self._current = None
        self._timers = {"again": now + self.account.keep_alive_s * 1000}
        if self.reachable:
            return ()
        self.reachable = True
        return (TrunkReachable(self.account, self._paths[self._path_number].hop),)

    def timed_out(self, key: Key, now: Ms) -> WatchEffects:
        """Timer F: our request was not answered."""
        return self._fail(self._silent(), now) if key == self._current else ()

    def disconnected(self, address: tuple[str, int], trouble: ConnectionTrouble, now: Ms) -> WatchEffects:
        """A connection to this address is closed or could not be made. One that nothing waits for may rest in peace."""
        if self._current is None or self._paths[self._path_number].hop.address != address:
            return ()
        return self._fail(trouble, now) if self._paths[self._path_number].hop.reliable else ()

    # --- parts

    def _silent(self) -> ConnectionTrouble:
        hop = self._paths[self._path_number].hop
        place = f"{host_and_port(*hop.address)} over {hop.transport.upper()}"
        return ConnectionTrouble("it does not answer", f"Does {place} take SIP? Is a firewall between?")

    def _fail(self, trouble: ConnectionTrouble, now: Ms) -> WatchEffects:
        self._current = None
        if self._path_number + 1 < len(self._paths):
            self._path_number += 1
            return self._ask(now)
        self._timers = {"again": now + self.account.keep_alive_s * 1000}
        was, self.reachable = self.reachable, False
        return () if was is False else (TrunkUnreachable(self.account, trouble),)

    def _ask(self, now: Ms) -> WatchEffects:
        self._timers = {}
        if self._path_number + 1 < len(self._paths):
            self._timers["silence"] = now + SILENCE_MS
        path = self._paths[self._path_number]
        branch, data = self._request(path)
        transaction = NonInviteClientTransaction(branch, "OPTIONS", data, path.hop)
        self._current = transaction.key
        return (OptionsBegan(self, transaction),)

    def _request(self, path: Path) -> tuple[str, bytes]:
        self._sequence += 1
        branch = f"z9hG4bK{secrets.token_hex(12)}"
        host = f"[{self.account.host}]" if ":" in self.account.host else self.account.host
        us = host_and_port(*path.local)
        suffix = f";transport={path.hop.transport}" if path.hop.reliable else ""
        lines = [
            f"OPTIONS sip:{host}{suffix} SIP/2.0",
            f"Via: SIP/2.0/{path.hop.transport.upper()} {us};branch={branch};rport",
            f"Max-Forwards: {MAX_FORWARDS}",
            f"From: <sip:{us}>;tag={secrets.token_hex(8)}",
            f"To: <sip:{host}>",
            f"Call-ID: {self._call_id}",
            f"CSeq: {self._sequence} OPTIONS",
            f"Contact: <sip:{us}{suffix}>",
            f"Accept: {ACCEPT}",
            f"User-Agent: {SERVER}",
            "Content-Length: 0",
        ]
        return branch, ("\r\n".join(lines) + "\r\n\r\n").encode()
