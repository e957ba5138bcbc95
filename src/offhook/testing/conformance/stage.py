"""Where plays are played: calls are placed, events delivered, answers judged, findings written down."""

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

from offhook.errors import SettingsInvalid
from offhook.protocol.signature import Signer
from offhook.testing.conformance import rule_book
from offhook.testing.conformance.aim import Aim
from offhook.testing.conformance.finding import Complaint, Finding, FindingBook
from offhook.testing.conformance.http_wire import HttpWire
from offhook.testing.conformance.rule_book import Over, Rule
from offhook.testing.conformance.websocket_wire import WebSocketLine
from offhook.testing.conformance.wire import Fate, Identity, Line, Listening, Outcome, Place

CALLED: Final = "+4921155660"
CALLER: Final = "+4915123456789"
_LONGEST_SHOWN: Final = 300
_FIRST_QUIETS: Final = {
    "dtmf_received": 1,
    "user_input_timeout": 1,
    "session_end": 1,
    "user_speech_started": 1,
    "assistant_speak": 1 / 3,
    "assistant_speech_ended": 1 / 3,
}
"""How often the time of quiet (`Aim.quiet_seconds`) the first play listens for an answer to these; to the others, for
the whole time limit."""

_RULE_OF_FATE: Final[dict[Fate, Rule]] = {
    Fate.STATUS: rule_book.STATUS,
    Fate.REDIRECT: rule_book.NO_REDIRECT,
    Fate.LATE: rule_book.IN_TIME,
    Fate.UNREACHABLE: rule_book.REACHED,
    Fate.TOO_LARGE: rule_book.WITHIN_LIMIT,
    Fate.BROKEN: rule_book.WHOLE_ANSWER,
}
# These say nothing about the event that they came to.
_OWN_RULES: Final = frozenset({Fate.REDIRECT, Fate.TOO_LARGE})


class Stage:
    """One run against one app.

    `failing`: events that fail in their plain form; nothing else is said about these. `habit`: how soon an event is
    usually answered, in ms; None: not at all. `learning`: the first play, which learns that.
    """

    def __init__(self, aim: Aim, wanted: frozenset[Rule]) -> None:
        _check_token(aim.token)
        self.aim: Final = aim
        self.place: Final = Place(aim.url)
        self.over: Final = Over.WEBSOCKET if self.place.socket else Over.HTTP
        self.book: Final = FindingBook(wanted)
        self.http: Final = HttpWire(self.place, aim.time_limit)
        self.signer: Final = None if aim.signing_secret is None else Signer(aim.signing_secret)
        self.sessions: Final[set[str]] = set()
        self.failing: Final[set[str]] = set()
        self.habit: Final[dict[str, int | None]] = {}
        self.took: Final[list[int]] = []
        self.play = ""
        self.learning = True
        self.calls = 0
        self.events = 0
        self.actions = 0

    def session(self, **fields: object) -> dict[str, Any]:
        """A new session, as the service would describe it; `fields` replace its own."""
        session = {
            "id": str(uuid.uuid4()),
            "account_id": "conformance",
            "phone_number": CALLED,
            "direction": "inbound",
            "from_phone_number": CALLER,
            "to_phone_number": CALLED,
            **fields,
        }
        self.sessions.add(str(session["id"]))
        self.calls += 1
        return session

    def identity(self, session_id: str) -> Identity:
        """Who calls for this session."""
        return Identity(session_id, self.aim.token, self.signer)

    def line(self, session_id: str) -> Line:
        """A way to the app for this session."""
        identity = self.identity(session_id)
        return self.websocket(identity) if self.place.socket else self.http.line(identity)

    def websocket(self, identity: Identity) -> WebSocketLine:
        """A connection of its own; it has the time limit to come about (D30)."""
        return WebSocketLine(self.place, identity, self.aim.time_limit)

    def listening(self, kind: str) -> Listening:
        """How long a WebSocket is listened to after this event."""
        quiet = self.aim.quiet_seconds
        if self.learning:
            first = _FIRST_QUIETS[kind] * quiet if kind in _FIRST_QUIETS else self.aim.time_limit
            return Listening(first, quiet / 3)
        usual = self.habit.get(kind)
        settle = quiet / 60
        if usual is None:
            return Listening(settle, settle)
        return Listening(min(self.aim.time_limit, max(quiet * 2 / 3, 4 * usual / 1000)), settle)

    # --- what was wrong

    def complain(self, complaint: Complaint, event: str, sent: str, came: str) -> None:
        """Write it down."""
        remedy = complaint.remedy or complaint.rule.remedy
        what = f"{complaint.path}: {complaint.what}" if complaint.path else complaint.what
        kind = re.sub(r"\[\d+\]\.?", "", complaint.path) or event.partition(" ")[0]
        self.book.add(Finding(complaint.rule, what, self.play, event, shortened(sent), shortened(came), remedy), kind)

    def undelivered(self, event: str, kind: str, sent: bytes, outcome: Outcome, about: Rule | None) -> None:
        """An event was not taken. `about`: what this delivery was to find out; None: a plain event."""
        rule = _RULE_OF_FATE[outcome.fate]
        if outcome.fate is Fate.BROKEN and self.place.socket:
            rule = rule_book.STAYS_CONNECTED
        if outcome.status in {401, 403}:
            rule = rule_book.TOKEN_TAKEN
        if about is None:
            self.failing.add(kind)
        elif outcome.fate not in _OWN_RULES:
            rule = about
        complaint = Complaint(rule, f"{kind} was not taken: {outcome.detail}.")
        self.complain(complaint, event, sent.decode(), _came(outcome))

    @property
    def hopeless(self) -> str | None:
        """Why nothing more needs to be tried."""
        if rule_book.REACHED in self.book:
            return "the app was not reached"
        if rule_book.TOKEN_TAKEN in self.book:
            return "the app does not let Offhook in"
        if rule_book.LIVES_ON in self.book:
            return "the app has not got over what came before"
        return None


def event_json(event: Mapping[str, object]) -> bytes:
    """As the service writes it: compact, UTF-8."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def shortened(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}… ({len(text)} characters)"


def _came(outcome: Outcome) -> str:
    return " ".join((outcome.detail, *(body[:_LONGEST_SHOWN].decode(errors="replace") for body in outcome.bodies[:2])))


def _check_token(token: str | None) -> None:
    if token is not None and (not token.isascii() or not token.isprintable() or token != token.strip()):
        raise SettingsInvalid(
            "The token holds characters that cannot stand in an HTTP header.",
            remedy="Use letters, digits and punctuation; look for a line end at the end of the secret.",
        )
