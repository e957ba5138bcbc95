"""A call explained on one page: how it came in, who ended it and why, and all that did not go as it was meant to.

Pure: a call's log in, lines out. `offhook why` prints them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from offhook.calls.call_log import Json, RecordedCall
from offhook.conversation.inputs import (
    AppFailed,
    AppLost,
    CallConnected,
    CallerHungUp,
    EndRequested,
    FinalWords,
    Input,
    Ms,
    RecognitionFailed,
    SpeechFailed,
    TransferFailed,
)
from offhook.protocol.forgiving_reader import APP_ERROR


@dataclass(frozen=True, slots=True)
class Told:
    """One line of the page; `trouble`: it tells of something that went wrong."""

    text: str
    trouble: bool = False


LOW_CONFIDENCE: Final = 0.5
"""Words that were heard with less are told of."""

# The causes of `HangUp`, as whoever reads the page would say it.
_WE_ENDED_IT: Final = {
    "app": "The app ended it, by hangup.",
    "caller": "The caller hung up, during a transfer or its bridge.",
    "time_limit": "It reached its time limit: max_call_seconds of the flow.",
    "notice_overdue": "Its farewell took too long, so it was cut.",
    "drain": "The service was being stopped.",
    "app_lost": "The app was lost: the caller heard the apology (flow.fallback).",
    "transfer_failed": "A transfer without a timeout failed, which ends a call (contract D15).",
    "transfer_ended": "Whom the caller was transferred to hung up.",
    "transferred": "The caller was handed over to somebody else (REFER).",
}
_LEG_ENDED: Final = {
    "caller_hung_up": "The other side hung up.",
    "cancelled": "The caller gave up before it was answered.",
    "no_ack": "The other side never confirmed the answer (no ACK): a firewall, or a wrong advertised address.",
    "no_media": "No audio came from it any more (limits.media_timeout_seconds), or none could be set up.",
    "no_answer": "Nobody answered.",
    "busy": "Whom it was for is busy.",
    "rejected": "Whom it was for rejected it.",
    "failed": "It could not be connected.",
    "refused": "It was refused.",
    "internal_error": "A mistake inside Offhook ended it. Please report it with its log (offhook replay --redact).",
}
_CODES: Final = {
    403: "forbidden",
    404: "no such number",
    408: "no answer in time",
    410: "gone",
    480: "not reachable at the moment",
    484: "the number is incomplete",
    486: "busy",
    487: "cancelled",
    488: "no codec or encryption in common",
    500: "an error there",
    502: "an error behind it",
    503: "not available",
    504: "a server there did not answer",
    600: "busy everywhere",
    603: "declined",
}
_TRANSFER_FAILED: Final = {
    "no_answer": "nobody answered",
    "busy": "the target is busy",
    "rejected": "the target rejected it",
    "not_allowed": "it is not allowed",
    "failed": "the target could not be reached",
}
REMEDY: Final = " Remedy: "
# Notes that tell of the usual course.
_USUAL: Final = ("answer to event ", "it rings at ", "line: ", "voice: ", "ear: ")


def story(call: RecordedCall) -> Iterator[Told]:
    """The page, line by line."""
    session, about = call.settings.session, call.about
    yield Told(f"Call {session.id}")
    yield Told(f"  {_when(call)}, {_how_long(call)}, {session.direction}, {_outcome(call)}")
    yield Told(f"  by {_way(about)}, flow {about.get('flow', '(unknown)')}")
    yield Told(f"  called  {_number(about.get('called'), session.to_phone_number)}")
    yield Told(f"  caller  {_number(about.get('caller'), session.from_phone_number)}")
    yield from _engines(call)
    yield Told("")
    yield Told(f"How it ended: {_end(call)}")
    yield Told("")
    troubles = list(_troubles(call))
    yield Told("What did not go as it was meant to:" if troubles else "Nothing was refused, dropped or failed.")
    for at, what, remedy in troubles:
        yield Told(f"  {at / 1000:8.3f}  {what}", trouble=True)
        if remedy:
            yield Told(f"            Remedy: {remedy}")
    quality = about.get("quality")
    if isinstance(quality, dict):
        yield Told("")
        yield Told(f"How good the line was: {_quality(quality)}")


def _engines(call: RecordedCall) -> Iterator[Told]:
    """Whose turn it was to hear (who failed then, is told of), and who spoke, in the order in which they began to."""
    for heading, mark in (("asked to hear:", "ear: "), ("spoken by", "voice: ")):
        names = dict.fromkeys(note.removeprefix(mark) for _, note in call.notes if note.startswith(mark))
        if names:
            yield Told(f"  {heading} {', then '.join(names)}")


def _when(call: RecordedCall) -> str:
    return datetime.fromtimestamp(call.settings.began_at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _how_long(call: RecordedCall) -> str:
    last = max((at for at, _ in (*call.facts, *call.orders)), default=0)
    return f"{last / 1000:.1f} s"


def _outcome(call: RecordedCall) -> str:
    what = call.about.get("outcome")
    if isinstance(what, str):
        return what.replace("_", " ")
    return "answered" if _first(call, CallConnected) is not None else "not answered"


def _way(about: Json) -> str:
    trunk = f", trunk {about['trunk']}" if about.get("trunk") else ""
    call_id = f", Call-ID {about['call_id']}" if about.get("call_id") else ""
    return f"{about.get('transport', '(unknown)')}{trunk}{call_id}"


def _number(came: object, read: str) -> str:
    return read if came is None or came == read else f"{came or '(withheld)'}, read as {read}"


def _end(call: RecordedCall) -> str:
    end = _first(call, CallerHungUp)
    if end is None:
        return "its log has no end. It is still going on, or the service was killed."
    at, fact = end
    assert isinstance(fact, CallerHungUp)
    ours = next((order for when, order in call.orders if order.get("type") == "HangUp" and when <= at), None)
    asked = _first(call, EndRequested)
    cause = fact.cause if ours is None else str(ours.get("cause"))
    told = _LEG_ENDED.get(cause) if ours is None else _WE_ENDED_IT.get(cause)
    if told is None and asked is not None:
        told = "The service was asked to end it."
    code = "" if fact.sip_code is None else f" SIP status {_code(fact.sip_code)}."
    return f"{told or 'It was ended.'}{code} ({cause}, after {at / 1000:.1f} s)"


def _code(code: int) -> str:
    meaning = _CODES.get(code)
    return str(code) if meaning is None else f"{code}, {meaning}"


def _troubles(call: RecordedCall) -> Iterator[tuple[Ms, str, str]]:
    """Time, what happened, what to do; in the order in which it happened."""
    found: list[tuple[Ms, str, str]] = []
    for at, fact in call.facts:
        found += [(at, *told) for told in _of_fact(fact)]
    for at, order in call.orders:
        found += [(at, *told) for told in _of_order(order)]
    for at, note in call.notes:
        found += [(at, *told) for told in _of_note(note)]
    yield from sorted(found, key=lambda one: one[0])


def _of_fact(fact: Input) -> Iterator[tuple[str, str]]:
    match fact:
        case AppFailed(answers, reason):
            yield _parted(
                f"the app did not answer event {answers}: {reason}", "Look at the app's own log of that time."
            )
        case AppLost(reason):
            yield _parted(f"the app was given up: {reason}", "Is it running, and is flow.app right?")
        case SpeechFailed(utterance, reason):
            yield _parted(f"utterance {utterance} was not played to its end: {reason}")
        case RecognitionFailed(turn, reason):
            yield _parted(f"not all words of turn {turn} were recognised: {reason}")
        case FinalWords(turn, text, confidence=float(sure)) if text and sure < LOW_CONFIDENCE:
            yield f"the words of turn {turn} are uncertain: the recogniser's confidence is {sure:.2f}", ""
        case TransferFailed(cause, sip_code):
            code = "" if sip_code is None else f" (SIP status {_code(sip_code)})"
            yield f"the transfer failed: {_TRANSFER_FAILED.get(cause, cause)}{code}", ""
        case _:
            pass


def _of_order(order: Json) -> Iterator[tuple[str, str]]:
    match order.get("type"):
        case "Dropped":
            yield f"an action was dropped ({order.get('code')} at {order.get('path')})", str(order.get("remedy", ""))
        case "Ignored":
            happened = order.get("happened")
            kind = happened.get("type") if isinstance(happened, dict) else happened
            yield f"{kind} came too late or too early to count ({order.get('state')})", ""
        case "SwitchApp":
            yield f"the second app took over: {order.get('url')}", ""
        case _:
            pass


def _of_note(note: str) -> Iterator[tuple[str, str]]:
    if APP_ERROR in note:
        yield f"the app reported an error: {note.partition(APP_ERROR)[2]}", ""
    elif not note.startswith(_USUAL) and " is called by the trunk " not in note:
        yield _parted(note)


def _parted(text: str, remedy: str = "") -> tuple[str, str]:
    """What happened, and the remedy: the one that the text ends with, else this."""
    what, _, own = text.partition(REMEDY)
    return what, own or remedy


def _quality(quality: Json) -> str:
    shown = ("codec", "packets_received", "loss_percent", "jitter_ms", "mos")
    parts = [f"{name.replace('_', ' ')} {quality[name]}" for name in shown if quality.get(name) is not None]
    return ", ".join(parts)


def _first(call: RecordedCall, kind: type[Input]) -> tuple[Ms, Input] | None:
    return next(((at, fact) for at, fact in call.facts if isinstance(fact, kind)), None)
