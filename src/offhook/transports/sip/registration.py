"""Being registered at one registrar (RFC 3261 section 10), as a pure machine.

Every method returns what follows; `next_deadline` says when `advance` is due. Each round of attempts begins with a
look-up of the registrar's servers, which are tried one after the other (RFC 3263 4.3). While registered, the registrar
is asked for our binding now and then: that keeps the way through a NAT open, and shows when the registrar has forgotten
us.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from offhook.transports.sip.account import Account, Path
from offhook.transports.sip.digest import DigestClient, Verdict
from offhook.transports.sip.hop import ConnectionTrouble, Hop, Ms, earliest
from offhook.transports.sip.message import SipResponse
from offhook.transports.sip.register_request import RegisterRequest, granted_s, registrar_uri, seconds
from offhook.transports.sip.registration_trouble import (
    Trouble,
    disconnected,
    no_answer,
    refused,
    unreachable,
    wrong_credentials,
)
from offhook.transports.sip.transaction import Key, NonInviteClientTransaction

REFRESH_AT: Final = 0.8
MIN_REFRESH_MS: Final = 1000
MAX_EXPIRES_S: Final = 86_400
MAX_RETRY_AFTER_S: Final = 3600
# Being registered for this long ends a row of failures.
STEADY_MS: Final = 30_000
JITTER: Final = 0.25
# How long one server may be silent while there is another. Timer F is for the last one.
SILENCE_MS: Final = 5000
DISTRUST_AFTER: Final = 2


class RegistrationState(StrEnum):
    """WAITING: for another attempt. LEAVING: ending the binding."""

    IDLE = "idle"
    LOOKING_UP = "looking_up"
    REGISTERING = "registering"
    REGISTERED = "registered"
    WAITING = "waiting"
    LEAVING = "leaving"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class RegisterBegan:
    """A REGISTER is to be started; what it brings comes to `answered` or `timed_out`."""

    registration: "Registration"
    transaction: NonInviteClientTransaction


@dataclass(frozen=True, slots=True)
class LookUp:
    """The registrar's servers are wanted: `found` or `not_found`."""

    asker: "Registration"


@dataclass(frozen=True, slots=True)
class Registered:
    """The registrar sends calls here, for so many seconds unless refreshed."""

    account: Account
    expires_s: int
    hop: Hop | None = None


@dataclass(frozen=True, slots=True)
class NotRegistered:
    """An attempt failed, at `hop` if it came so far. `lost`: until now the registration stood. `again_in_ms` 0: at
    once, at the registrar's next server or the same."""

    account: Account
    lost: bool
    trouble: Trouble
    again_in_ms: Ms
    hop: Hop | None = None


@dataclass(frozen=True, slots=True)
class Unregistered:
    """The binding is ended."""

    account: Account


RegistrationEffect: TypeAlias = RegisterBegan | LookUp | Registered | NotRegistered | Unregistered
Effects: TypeAlias = tuple[RegistrationEffect, ...]


class Registration:
    """One account's registration. `jitter` gives numbers from 0 to 1. `registers` False: another node does, and this
    one only knows where the registrar is, whose calls may come here too."""

    def __init__(self, account: Account, jitter: Callable[[], float], *, registers: bool = True) -> None:
        self.account = account
        self.registers = registers
        self.state = RegistrationState.IDLE
        self._jitter = jitter
        self._digest = DigestClient(account.auth_username or account.username, account.password)
        self._call_id = secrets.token_hex(16)
        self._tag = secrets.token_hex(8)
        self._sequence = 0
        self._paths: tuple[Path, ...] = ()
        self._path_number = 0
        self._current: Key | None = None
        self._asked_s: int | None = None
        self._expires_s = account.expires_s
        self._timers: dict[str, Ms] = {}
        self._failures = 0
        self._registered_at: Ms | None = None
        self._lists_us = False
        self._forgotten = 0

    @property
    def next_deadline(self) -> Ms | None:
        return earliest(self._timers.values())

    @property
    def registered(self) -> bool:
        return self.state is RegistrationState.REGISTERED

    @property
    def leaving(self) -> bool:
        """Whether the end of the binding is not confirmed yet."""
        return self.state is RegistrationState.LEAVING

    def is_our_contact(self, user: str, source: str) -> bool:
        """Whether a call from this host to this user came to our contact."""
        return user == self.account.username and any(path.hop.address[0] == source for path in self._paths)

    # --- what is asked of it

    def start(self) -> Effects:
        """Begin to register."""
        return self._look_up()

    def leave(self) -> Effects:
        """End the binding, if there may be one."""
        bound = self.state in {RegistrationState.REGISTERING, RegistrationState.REGISTERED}
        self._timers.clear()
        self._current = None
        if not bound:
            self.state = RegistrationState.OVER
            return ()
        self.state = RegistrationState.LEAVING
        self._digest.begin()
        return self._send(0)

    def advance(self, now: Ms) -> Effects:
        """What the timers that are due bring about."""
        due = {name for name, at in self._timers.items() if at <= now}
        for name in due:
            del self._timers[name]
        if "again" in due:
            return self._look_up()
        if "silence" in due and self._current is not None:
            return self._fail(no_answer(self.account, self._path.hop), now)
        if "refresh" in due:
            self._timers.pop("keep_alive", None)
            self._digest.begin()
            return self._send(self._expires_s, now)
        if "keep_alive" in due and self._current is None:
            self._digest.begin()
            return self._send(None, now)
        return ()

    # --- what happens to it

    def found(self, paths: Sequence[Path], now: Ms) -> Effects:
        """The ways to the registrar, best first."""
        if self.state is not RegistrationState.LOOKING_UP:
            return ()
        if not paths:
            return self.not_found("none of its addresses can be reached from sip.listen", now)
        self._paths = tuple(paths)
        self._path_number = 0
        if not self.registers:
            self.state = RegistrationState.WAITING
            self._timers["again"] = now + self.account.expires_s * 1000
            return ()
        self.state = RegistrationState.REGISTERING
        self._digest.begin()
        return self._send(self._expires_s, now)

    def not_found(self, reason: str, now: Ms) -> Effects:
        """The registrar's name leads nowhere."""
        if self.state is not RegistrationState.LOOKING_UP:
            return ()
        return self._fail(unreachable(self.account, reason), now)

    def timed_out(self, key: Key, now: Ms) -> Effects:
        """Timer F: a REGISTER was not answered."""
        return self._fail(no_answer(self.account, self._path.hop), now) if key == self._current else ()

    def disconnected(self, address: tuple[str, int], trouble: ConnectionTrouble, now: Ms) -> Effects:
        """A connection to this address is closed, or could not be made."""
        if not self._paths or not self._path.hop.reliable or self._path.hop.address != address:
            return ()
        if self.state not in {RegistrationState.REGISTERING, RegistrationState.REGISTERED, RegistrationState.LEAVING}:
            return ()
        return self._fail(disconnected(trouble), now)

    def answered(self, key: Key, response: SipResponse, now: Ms) -> Effects:
        """The final response to a REGISTER."""
        if key != self._current:
            return ()
        self._current = None
        self._timers.pop("silence", None)
        status = response.status
        if status in {401, 407}:
            return self._challenged(response, now)
        if self._asked_s is None:
            return self._binding_told(response, now)
        wanted = seconds(response.headers.get("Min-Expires")) if status == 423 and self._asked_s else None
        if wanted is not None and self._expires_s < wanted <= MAX_EXPIRES_S:
            self._expires_s = wanted
            return self._send(wanted, now)
        if not 200 <= status < 300:
            return self._fail(refused(self.account, status), now, after_s=seconds(response.headers.get("Retry-After")))
        if self.state is RegistrationState.LEAVING:
            self.state = RegistrationState.OVER
            return (Unregistered(self.account),)
        return self._accepted(response, now)

    # --- answers

    def _challenged(self, response: SipResponse, now: Ms) -> Effects:
        match self._digest.take(response):
            case Verdict.TRY_AGAIN:
                return self._send(self._asked_s, now)
            case Verdict.REFUSED:
                return self._fail(wrong_credentials(self.account), now)
            case Verdict.NOT_POSSIBLE:
                return self._fail(refused(self.account, response.status), now)

    def _accepted(self, response: SipResponse, now: Ms) -> Effects:
        listed = granted_s(response, self.account, self._path)
        self._lists_us = listed is not None
        expires_s = listed or seconds(response.headers.get("Expires")) or self._asked_s or self.account.expires_s
        self._timers["refresh"] = now + max(MIN_REFRESH_MS, int(expires_s * 1000 * REFRESH_AT))
        self._plan_keep_alive(now)
        if self.registered:
            return ()
        self.state = RegistrationState.REGISTERED
        self._registered_at = now
        return (Registered(self.account, expires_s, self._path.hop),)

    def _binding_told(self, response: SipResponse, now: Ms) -> Effects:
        """The answer to our question for bindings. Registrars that do not say it are not asked to."""
        self._plan_keep_alive(now)
        if not (200 <= response.status < 300 and self._lists_us and self._forgotten < DISTRUST_AFTER):
            return ()
        if granted_s(response, self.account, self._path) is not None:
            self._forgotten = 0
            return ()
        # A registrar that lists us when we register, and never when we ask, tells nothing.
        self._forgotten += 1
        self.state = RegistrationState.REGISTERING
        self._timers.clear()
        self._digest.begin()
        trouble = Trouble("the registrar has forgotten us", "None needed: it is registered again at once.")
        lost = NotRegistered(self.account, True, trouble, 0, self._path.hop)
        return (lost, *self._send(self._expires_s, now))

    # --- the way there

    @property
    def _path(self) -> Path:
        return self._paths[self._path_number]

    @property
    def _last_resort(self) -> bool:
        """Whether no other server is left in this round."""
        return self._path_number + 1 >= len(self._paths)

    def _look_up(self) -> Effects:
        self.state = RegistrationState.LOOKING_UP
        self._path_number = max(0, len(self._paths) - 1)
        return (LookUp(self),)

    def _plan_keep_alive(self, now: Ms) -> None:
        if self.account.keep_alive_s:
            self._timers["keep_alive"] = now + self.account.keep_alive_s * 1000

    def _send(self, expires_s: int | None, now: Ms | None = None) -> Effects:
        """`now` None: what is silent is not waited for."""
        if now is not None and not self._last_resort:
            self._timers["silence"] = now + SILENCE_MS
        self._sequence += 1
        self._asked_s = expires_s
        request = RegisterRequest(self.account, self._path, self._call_id, self._tag, self._sequence, expires_s)
        branch, data = request.build(self._digest.headers("REGISTER", registrar_uri(self.account)))
        transaction = NonInviteClientTransaction(branch, "REGISTER", data, self._path.hop)
        self._current = transaction.key
        return (RegisterBegan(self, transaction),)

    def _fail(self, trouble: Trouble, now: Ms, *, after_s: int | None = None) -> Effects:
        self._timers.clear()
        self._current = None
        if self.state is RegistrationState.LEAVING:
            self.state = RegistrationState.OVER
            return ()
        lost = self.registered
        hop = None if self.state is RegistrationState.LOOKING_UP else self._path.hop
        if self._registered_at is not None and now - self._registered_at >= STEADY_MS:
            self._failures = 0
        self._registered_at = None
        if trouble.try_elsewhere and not self._last_resort:
            self._path_number += 1
            self.state = RegistrationState.REGISTERING
            self._digest.begin()
            return (NotRegistered(self.account, lost, trouble, 0, hop), *self._send(self._expires_s, now))
        ladder = trouble.waits_s
        wait_ms = ladder[min(self._failures, len(ladder) - 1)] * 1000
        wait_ms = int(wait_ms * (1 - JITTER + 2 * JITTER * self._jitter()))
        if after_s is not None:
            wait_ms = max(wait_ms, min(after_s, MAX_RETRY_AFTER_S) * 1000)
        self._failures += 1
        self.state = RegistrationState.WAITING
        self._timers["again"] = now + wait_ms
        return (NotRegistered(self.account, lost, trouble, wait_ms, hop),)
