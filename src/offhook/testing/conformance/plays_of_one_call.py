"""Plays of one call: its course, and everything odd that callers, numbers and events can be."""

from typing import Any, Final

from offhook.testing.conformance import rule_book
from offhook.testing.conformance.caller import Caller
from offhook.testing.conformance.finding import Complaint
from offhook.testing.conformance.rule_book import Rule
from offhook.testing.conformance.stage import CALLED, CALLER, Stage
from offhook.testing.conformance.wire import Fate, Listening, Outcome

SLOW_MS: Final = 1000
_ENDS_WITHIN_SECONDS: Final = 0.15
_SOUNDING: Final = frozenset({"speak", "audio", "gather_dtmf", "transfer", "hangup", "mix_audio"})
RINGS_AGAIN: Final = {"cause": "busy", "sip_code": 486}

ODD_WORDS: Final = (
    "no",
    "ja",
    "?",
    "1234",
    "null",
    "-0.5e99",
    'Tom & "Jerry" said: it\'s <b>5 > 3</b> &amp; done',
    '{"type": "hangup", "session_id": "x"}',
    "'; DROP TABLE calls; -- ${HOME} {{7*7}} %s %n \\u0041 \\",
    "👩‍👩‍👧‍👦 🇩🇪 naïve café ﬁ e\u0301 𝄞",
    "مرحبا بالعالم שלום עולם",
    "你好，世界。こんにちは 안녕하세요 สวัสดี",
    "a\u0007bell, \u202eturned\u202c, \u200b\ufeffjoined,\u2028lines\r\n\tand a tab",
    "well " * 2000,
)

ODD_SESSIONS: Final[tuple[dict[str, object], ...]] = (
    {"from_phone_number": "anonymous"},
    {
        "from_phone_number": CALLER.lstrip("+"),
        "to_phone_number": CALLED.lstrip("+"),
        "phone_number": CALLED.lstrip("+"),
    },
    {"from_phone_number": "110"},
    {"from_phone_number": "+1" + "2" * 14},
    {"from_phone_number": "23", "to_phone_number": "600", "phone_number": "600"},
    {"direction": "outbound", "from_phone_number": CALLED, "to_phone_number": CALLER, "phone_number": CALLER},
    {"account_id": ""},
)

_WORDS: Final = [{"text": "hello", "start_ms": 900, "end_ms": 1300, "confidence": 0.93}] * 200
_STRANGE: Final[dict[str, object]] = {"x_conformance": {"nested": [1, None, {"deep": True}]}, "x_empty": None}


_PLAIN: Final[dict[str, dict[str, Any]]] = {
    "user_speak": {"text": "hello", "barged_in": False},
    "dtmf_received": {"digit": "1"},
    "user_input_timeout": {},
    "assistant_speech_ended": {},
    "session_end": {},
}
PLAIN_KINDS: Final = (
    "session_start",
    "assistant_speak",
    "assistant_speech_ended",
    "user_speak",
    "dtmf_received",
    "user_input_timeout",
    "session_end",
)


async def whole_call(stage: Stage) -> None:
    """Every event once in its plain form; the stage learns how the app behaves."""
    call = Caller(stage)
    outcome = await call.tell("session_start")
    if stage.hopeless:
        return
    if outcome.fate is Fate.TAKEN:
        await _first_answer(stage, call, outcome)
    await call.hears_out()
    await call.tell("assistant_speak", text="Welcome.", duration_ms=800, speech_started_at=1_700_000_000_000)
    await call.tell("assistant_speech_ended")
    if stage.place.socket:
        await call.tell("user_speech_started")
    call = await (await call.goes_on()).says("hello")
    if stage.habit.get("user_speak") is None and "user_speak" not in stage.failing and not call.blamed:
        call.complain(Complaint(rule_book.ANSWERS_WORDS, 'Nothing came to "hello".'), "user_speak")
    call = await (await call.goes_on()).presses("1")
    call = await (await call.goes_on()).stays_silent()
    await (await call.goes_on()).hangs_up()
    usual = sorted(stage.took)[len(stage.took) // 2] if stage.took else 0
    if not stage.place.socket and usual > SLOW_MS:
        what = f"Half of the answers took {usual} ms or more."
        stage.complain(Complaint(rule_book.PROMPT, what), "all events that callers wait for", "", "")


async def _first_answer(stage: Stage, call: Caller, outcome: Outcome) -> None:
    """What the very first answer tells: is the caller greeted, and what becomes of the connection?"""
    if not (_SOUNDING & set(call.kinds) or call.blamed):
        call.complain(Complaint(rule_book.GREETS, "Nothing came that the caller would hear."), "session_start")
    if not stage.place.socket and not outcome.closing and await stage.http.ends_idle(_ENDS_WITHIN_SECONDS):
        stage.http.keeps = False
        what = "The connection ended right after an answer that did not say so."
        call.complain(Complaint(rule_book.CLOSES_SAYING_SO, what), "session_start")


async def interrupted(stage: Stage) -> None:
    call = await Caller(stage, rule_book.BARGED_IN).starts()
    for text in ("wait", "stop, I want something else"):
        call = await (await call.goes_on()).interrupts(text)
    await call.hangs_up()


async def silent_caller(stage: Stage) -> None:
    call = await Caller(stage, rule_book.SILENT_CALLER).starts()
    for _ in range(4):
        call = await (await call.goes_on()).stays_silent()
    await call.hangs_up()


async def odd_words(stage: Stage) -> None:
    call = await Caller(stage, rule_book.ODD_WORDS).starts()
    for text in ODD_WORDS:
        call = await (await call.goes_on()).says(text)
    await call.hangs_up()


async def odd_numbers(stage: Stage) -> None:
    for fields in ODD_SESSIONS:
        call = await Caller(stage, rule_book.ODD_NUMBERS, **fields).starts()
        await (await (await call.goes_on()).says("hello")).hangs_up()


async def all_keys(stage: Stage) -> None:
    call = Caller(stage, rule_book.ALL_KEYS)
    await call.tell("session_start")
    for key in "1234567890*#":
        if call.ending:
            await call.hears_out()
            call = await call.goes_on()
        await call.tell("dtmf_received", digit=key)
    await (await call.hears_out()).hangs_up()


async def extra_keys(stage: Stage) -> None:
    """The keys that the contract adds (D5), then keys that nobody knows."""
    call = await Caller(stage, rule_book.EXTRA_KEYS).starts()
    call = await call.says("hello", language="en-US", confidence=0.93, words=_WORDS)
    call = await (await call.goes_on()).says("1234", gathered_dtmf=True)
    call = await call.goes_on()
    await call.tell("assistant_speech_ended", spoken_text="What was heard")
    call = await call.goes_on()
    await call.hangs_up()
    call = Caller(stage, rule_book.EXTRA_KEYS, **_STRANGE)
    call.extra = _STRANGE
    await call.starts()
    call = await (await call.goes_on()).says("hello")
    call = await (await call.goes_on()).presses("5")
    call = await (await call.goes_on()).stays_silent()
    await call.hangs_up()


async def absent_fields(stage: Stage) -> None:
    call = Caller(stage, rule_book.ABSENT_FIELDS)
    for name in [key for key in call.session if key != "id"]:
        del call.session[name]
    await call.starts()
    if not call.over:
        await call.tell("assistant_speak", ssml="<speak>Hello.</speak>", duration_ms=900, speech_started_at=1)
        await call.tell("assistant_speech_ended")
        await call.tell("user_speak", text="hello")
        await (await call.hears_out()).hangs_up()


async def unknown_event(stage: Stage) -> None:
    call = await Caller(stage, rule_book.UNKNOWN_EVENT).starts()
    call = await call.goes_on()
    await call.tell("caller_mood_changed", mood={"name": "amused"})
    await (await call.hears_out()).hangs_up()


async def comes_back(stage: Stage) -> None:
    call = await Caller(stage, rule_book.COMES_BACK).starts()
    call = await (await call.goes_on()).says("hello")
    call = await call.goes_on()
    await call.tell("session_start", transfer_failed=RINGS_AGAIN)
    call = await (await call.hears_out()).goes_on()
    await call.tell("session_start")
    call = await (await call.hears_out()).goes_on()
    await (await call.says("hello")).hangs_up()


async def delivered_twice(stage: Stage) -> None:
    for number, kind in enumerate(("user_speak", "dtmf_received"), start=100):
        call = await (await Caller(stage, rule_book.TWICE).starts()).goes_on()
        for _ in range(2):
            await call.repeat(number, kind, **_PLAIN[kind])
        await (await call.hears_out()).hangs_up()


async def unknown_session(stage: Stage) -> None:
    for kind, fields in _PLAIN.items():
        call = Caller(stage, rule_book.UNKNOWN_SESSION)
        await call.tell(kind, **fields)
        call.over = kind == "session_end"
        if call.over:
            await call.line.hang_up()
        else:
            await (await call.hears_out()).hangs_up()


async def many_events_at_once(stage: Stage) -> None:
    """Over a WebSocket: what a caller does in a moment, sent without a pause."""
    call = await (await Caller(stage, rule_book.TAKES_BURST).starts()).goes_on()
    silent = Listening(0.0, 0.0)
    for kind in ("dtmf_received", "user_speech_started", "user_speak", "dtmf_received", "user_speak"):
        outcome = await call.tell(kind, listening=silent, **_PLAIN.get(kind, {}))
        if outcome.fate is not Fate.TAKEN:
            return
    quiet = stage.aim.quiet_seconds
    await call.tell("assistant_speech_ended", listening=Listening(quiet, quiet))
    await (await call.hears_out()).hangs_up()


RULES_OF_THE_COURSE: Final[tuple[Rule, ...]] = (
    rule_book.REACHED,
    rule_book.STATUS,
    rule_book.IN_TIME,
    rule_book.NO_REDIRECT,
    rule_book.READABLE,
    rule_book.WITHIN_LIMIT,
    rule_book.WHOLE_ANSWER,
    rule_book.PROMPT,
    rule_book.CLOSES_SAYING_SO,
    rule_book.TEXT_FRAMES,
    rule_book.STAYS_CONNECTED,
    rule_book.END_UNANSWERED,
    rule_book.ONSET_UNANSWERED,
    rule_book.STOPS_TALKING,
    rule_book.GREETS,
    rule_book.ANSWERS_WORDS,
    rule_book.TOKEN_TAKEN,
    rule_book.HAS_TYPE,
    rule_book.UNWRAPPED,
    rule_book.ENCODED_ONCE,
    rule_book.NOT_BARE_TEXT,
    rule_book.NO_ECHO,
    rule_book.NO_REPORTED_ERROR,
    rule_book.KNOWN_ACTION,
)
