"""All plays, in their order: which rules each one is there for, and what has to work before it can tell anything."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from offhook.testing.conformance import plays_of_connections as connections
from offhook.testing.conformance import plays_of_many_calls as many
from offhook.testing.conformance import plays_of_one_call as one
from offhook.testing.conformance import rule_book
from offhook.testing.conformance.rule_book import Over, Rule
from offhook.testing.conformance.stage import Stage

_TALK: Final = ("session_start", "user_speak", "session_end")


@dataclass(frozen=True, slots=True)
class Play:
    """`rules`: what it is there for. `kinds`: events that have to be taken in their plain form. `after`: rules that,
    once broken, explain whatever would happen here. `needs`: what the run has to be given, `token` or `secret`."""

    title: str
    rules: tuple[Rule, ...]
    act: Callable[[Stage], Awaitable[None]]
    kinds: tuple[str, ...] = _TALK
    over: Over = Over.BOTH
    after: tuple[Rule, ...] = ()
    needs: str = ""


FIRST: Final = Play("a whole call", one.RULES_OF_THE_COURSE, one.whole_call, kinds=())
PLAYS: Final[tuple[Play, ...]] = (
    FIRST,
    Play("a connection while it rings", (rule_book.IDLE_IS_FREE,), connections.idle_connection),
    Play("a caller interrupts", (rule_book.BARGED_IN,), one.interrupted),
    Play("a caller stays silent", (rule_book.SILENT_CALLER,), one.silent_caller, (*_TALK, "user_input_timeout")),
    Play("a caller says odd things", (rule_book.ODD_WORDS,), one.odd_words),
    Play("odd numbers call", (rule_book.ODD_NUMBERS,), one.odd_numbers),
    Play("all keys are pressed", (rule_book.ALL_KEYS,), one.all_keys, (*_TALK, "dtmf_received")),
    Play("events with more keys", (rule_book.EXTRA_KEYS,), one.extra_keys, one.PLAIN_KINDS),
    Play("events with fewer keys", (rule_book.ABSENT_FIELDS,), one.absent_fields),
    Play("an event of the future", (rule_book.UNKNOWN_EVENT,), one.unknown_event),
    Play("a transfer failed", (rule_book.COMES_BACK,), one.comes_back, after=(rule_book.EXTRA_KEYS,)),
    Play("events delivered twice", (rule_book.TWICE,), one.delivered_twice, one.PLAIN_KINDS, Over.HTTP),
    Play("events of a lost session", (rule_book.UNKNOWN_SESSION,), one.unknown_session, one.PLAIN_KINDS),
    Play("events without a pause", (rule_book.TAKES_BURST,), one.many_events_at_once,
         (*one.PLAIN_KINDS, "user_speech_started"), Over.WEBSOCKET),
    Play("pings", (rule_book.PONGS,), connections.pings, over=Over.WEBSOCKET),
    Play("the connection breaks", (rule_book.TAKES_RECONNECTION,), connections.reconnected,
         (*_TALK, "dtmf_received"), Over.WEBSOCKET, after=(rule_book.UNKNOWN_SESSION,)),
    Play("two calls at the same time", (rule_book.KEPT_APART,), many.two_calls, (*_TALK, "dtmf_received"),
         after=(rule_book.IDLE_IS_FREE,)),
    Play("many calls at the same time", (rule_book.MANY_AT_ONCE, rule_book.KEPT_APART), many.crowd,
         after=(rule_book.IDLE_IS_FREE, rule_book.MANY_AT_ONCE)),
    Play("other tokens", (rule_book.TOKEN_CHECKED,), connections.tokens, needs="token"),
    Play("other signatures", (rule_book.SIGNATURE_CHECKED,), connections.signatures, over=Over.HTTP, needs="secret"),
    Play("what is no JSON", (rule_book.REFUSES_NO_JSON, rule_book.LIVES_ON), connections.no_json),
    Play("somebody vanishes", (rule_book.LIVES_ON,), connections.lost_connection),
)  # fmt: skip
"""The first one is always played; by it the stage learns."""
