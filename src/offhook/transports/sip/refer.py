"""REFER in a dialog (RFC 3515), asked of us and asked by us, with the words that tell how it goes; Replaces (RFC 3891).
Pure."""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import unquote

from offhook.transports.call_leg import LegAskedToRefer, LegReferred
from offhook.transports.sip import header_fields
from offhook.transports.sip.dialog import Dialog, DialogId
from offhook.transports.sip.hop import Ms
from offhook.transports.sip.message import SipRequest
from offhook.transports.sip.response import REASONS
from offhook.transports.sip.transaction import Key, NonInviteClientTransaction

SUBSCRIBED_SECONDS: Final = 180
SIPFRAG: Final = "message/sipfrag;version=2.0"
NOTHING_SAID: Final = 408
PENDING: Final = 491
NOT_NOW: Final = LegReferred(succeeded=False, sip_code=481)

Answer: TypeAlias = tuple[int, str | None, list[tuple[str, str]], LegAskedToRefer | LegReferred | None]

_STATUS = re.compile(rb"\s*SIP/2\.0 +([1-6][0-9]{2})(?![0-9])", re.IGNORECASE)


class _CannotRefer(ValueError):
    """A REFER that cannot be followed: `status` says so."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(slots=True)
class _Wish:
    """A REFER of the peer's that is being followed. `event`: the Event header of what it is told; `told`: it wants to
    be told (RFC 4488)."""

    event: str
    told: bool


@dataclass(slots=True)
class _Referral:
    """A REFER of ours. `until`: the peer follows it, and we wait no longer than this for what comes of it."""

    key: Key
    until: Ms | None = None


class Referrals:
    """Both directions of one dialog: at most one REFER each at a time."""

    def __init__(self) -> None:
        self._wish: _Wish | None = None
        self._wishes = 0
        self._referral: _Referral | None = None

    # --- asked by us

    @property
    def next_deadline(self) -> Ms | None:
        return None if self._referral is None else self._referral.until

    def ask(self, dialog: Dialog, target: str) -> NonInviteClientTransaction | LegReferred:
        """Our REFER; or what there is to say at once."""
        if self._referral is not None:
            return LegReferred(succeeded=False, sip_code=PENDING)
        us = dialog.local_address.partition(";tag=")[0]
        headers = [("Contact", dialog.contact), ("Refer-To", f"<{target}>"), ("Referred-By", us)]
        branch, data, hop = dialog.build_request("REFER", headers)
        transaction = NonInviteClientTransaction(branch, "REFER", data, hop)
        self._referral = _Referral(transaction.key)
        return transaction

    def answered(self, key: Key, status: int, now: Ms) -> LegReferred | None:
        """The final response to a request of ours; the one to our REFER says whether it is followed."""
        referral = self._referral
        if referral is None or referral.key != key or referral.until is not None:
            return None
        if status >= 300:
            return self._over(status)
        referral.until = now + SUBSCRIBED_SECONDS * 1000
        return None

    def overdue(self, now: Ms) -> LegReferred | None:
        """Nothing was told in time."""
        until = self.next_deadline
        return self._over(NOTHING_SAID) if until is not None and until <= now else None

    def left(self) -> LegReferred | None:
        """The peer hangs up. Having agreed to our REFER, and before it has said what came of it, it left to do that."""
        return self._over(200) if self.next_deadline is not None else None

    def _over(self, status: int) -> LegReferred | None:
        if self._referral is None:
            return None
        self._referral = None
        return LegReferred(200 <= status < 300, status)

    # --- asked of us

    def requested(self, request: SipRequest, dialog: Dialog) -> Answer:
        """A REFER or a NOTIFY of the peer's: status, reason phrase and headers to answer with, and what it comes to."""
        try:
            return self._told(request) if request.method == "NOTIFY" else self._take(request, dialog)
        except _CannotRefer as error:
            return error.status, str(error), [], None

    def _told(self, notify: SipRequest) -> Answer:
        status = told_status(notify)
        if status is None:
            return 489, None, [("Allow-Events", "refer")], None
        return 200, None, [], self._over(status) if status >= 200 else None

    def _take(self, refer: SipRequest, dialog: Dialog) -> Answer:
        """RFC 3515 2.4.2: it is agreed to at once, and the peer is told how it goes, if it wants that (RFC 4488)."""
        if self._wish is not None:
            raise _CannotRefer(PENDING, "another REFER is being followed")
        asked = _target_of(refer)
        # Only the first subscription of a dialog has no number (RFC 3515 2.4.6).
        event = f"refer;id={refer.cseq.sequence}" if self._wishes else "refer"
        self._wish = _Wish(event, (refer.headers.get("Refer-Sub") or "true").strip().lower() != "false")
        self._wishes += 1
        silent = [] if self._wish.told else [("Refer-Sub", "false")]
        return 202, None, [("Contact", dialog.contact), *silent], asked

    def tell(self, dialog: Dialog, status: int) -> NonInviteClientTransaction | None:
        """The NOTIFY that tells the peer how its wish goes; None: it has none, or does not want to be told."""
        wish = self._wish
        if wish is None:
            return None
        if status >= 200:
            self._wish = None
        if not wish.told:
            return None
        state = f"active;expires={SUBSCRIBED_SECONDS}" if status < 200 else "terminated;reason=noresource"
        line = f"SIP/2.0 {status} {REASONS.get(status, 'Unknown')}\r\n"
        headers = [("Contact", dialog.contact), ("Event", wish.event), ("Subscription-State", state)]
        branch, data, hop = dialog.build_request("NOTIFY", headers, (SIPFRAG, line.encode()))
        return NonInviteClientTransaction(branch, "NOTIFY", data, hop)


def _target_of(refer: SipRequest) -> LegAskedToRefer:
    named = refer.headers.every("Refer-To")
    if len(named) != 1:
        raise _CannotRefer(400, "one Refer-To is needed")
    uri, _, headers = header_fields.uri_text(named[0]).partition("?")
    try:
        scheme = header_fields.parse_uri(uri).scheme
    except ValueError as error:
        raise _CannotRefer(400, "Refer-To cannot be read") from error
    if scheme not in {"sip", "sips", "tel"}:
        raise _CannotRefer(416, "Refer-To is no address of a telephone")
    method = re.search(r";method=([A-Za-z]+)", uri)
    if method is not None and method[1].upper() != "INVITE":
        raise _CannotRefer(501, "only calls are placed")
    asked = {name.lower(): unquote(value) for name, _, value in (piece.partition("=") for piece in headers.split("&"))}
    replaces = asked.get("replaces")
    if replaces is not None and replaced_dialog(replaces) is None:
        raise _CannotRefer(400, "Replaces cannot be read")
    return LegAskedToRefer(uri, replaces)


def told_status(notify: SipRequest) -> int | None:
    """The status that a NOTIFY of the peer's tells. A subscription that ends without one comes to nothing; None: this
    is no NOTIFY of a REFER."""
    event = (notify.headers.get("Event") or notify.headers.get("o") or "").partition(";")[0].strip().lower()
    if event != "refer":
        return None
    found = _STATUS.match(notify.body)
    status = int(found[1]) if found else 100
    state = (notify.headers.get("Subscription-State") or "").partition(";")[0].strip().lower()
    return NOTHING_SAID if status < 200 and state == "terminated" else status


def replaced_dialog(value: str) -> tuple[DialogId, bool] | None:
    """The dialog that a Replaces header names, seen from here, and whether it must be early; None: it is no such
    header."""
    call_id, *parameters = (piece.strip() for piece in value.split(";"))
    given = {name.strip().lower(): tag.strip() for name, _, tag in (each.partition("=") for each in parameters)}
    ours, theirs = given.get("to-tag"), given.get("from-tag")
    if not call_id or not ours or theirs is None or any(char.isspace() for char in call_id):
        return None
    return DialogId(call_id, ours, "" if theirs == "0" else theirs), "early-only" in given
