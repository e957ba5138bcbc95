"""One call to the app: events as the service sends them, in its order, with what the app asked for played out."""

from typing import Any, Final

from offhook.testing.conformance import rule_book
from offhook.testing.conformance.answer_judge import JsonObject, judge
from offhook.testing.conformance.finding import Complaint
from offhook.testing.conformance.rule_book import Rule
from offhook.testing.conformance.stage import Stage, event_json
from offhook.testing.conformance.wire import Fate, Line, Listening, Outcome
from offhook.testing.conformance.wire_clock import unix_ms

MOST_UTTERANCES: Final = 25
"""Utterances after one event, without a word from the caller, that are listened to."""

WAITING_CALLER: Final = frozenset({"session_start", "user_speak", "dtmf_received", "user_input_timeout"})
MS_PER_CHARACTER: Final = 66


class Caller:
    """One call. `about` of a method: the rule that is broken if its events are not taken; None: they are plain."""

    def __init__(self, stage: Stage, about: Rule | None = None, **session: object) -> None:
        self.stage: Final = stage
        self.session: Final[dict[str, Any]] = stage.session(**session)
        self.line: Final[Line] = stage.line(self.id)
        self.about = about
        self.extra: dict[str, object] = {}
        self.over = False
        self.heard: Final[list[str]] = []
        self.kinds: Final[list[str]] = []
        self.blamed = False
        self._number = 0
        self._utterances: list[JsonObject] = []
        self._ending = False

    @property
    def id(self) -> str:
        """The session's id."""
        return str(self.session["id"])

    @property
    def ending(self) -> bool:
        """Whether the app has sent what ends the call."""
        return self._ending

    # --- what a caller does

    async def starts(self) -> "Caller":
        """The call is connected, and the greeting heard out."""
        await self.tell("session_start")
        return await self.hears_out()

    async def says(self, text: str, **fields: Any) -> "Caller":
        """A turn, and what is said to it, heard out."""
        fields.setdefault("barged_in", False)
        await self.tell("user_speak", text=text, **fields)
        return await self.hears_out()

    async def presses(self, keys: str) -> "Caller":
        """Keys, one after the other."""
        for key in keys:
            await self.tell("dtmf_received", digit=key)
        return await self.hears_out()

    async def stays_silent(self) -> "Caller":
        """The timeout that the app asked for is over."""
        await self.tell("user_input_timeout")
        return await self.hears_out()

    async def interrupts(self, text: str) -> "Caller":
        """Speaks into an utterance, which ends at once."""
        self._utterances.clear()
        await self._hears({"type": "speak", "text": "What an assistant says."}, cut=True)
        if self.stage.place.socket:
            await self.tell("user_speech_started")
        return await self.says(text, barged_in=True)

    async def hangs_up(self) -> None:
        """The end of the call."""
        if not self.over:
            self.over = True
            await self.tell("session_end")
            await self.line.hang_up()

    async def hears_out(self) -> "Caller":
        """Every utterance that waits is played: begun, ended; then what the app says to that, too."""
        played = 0
        while self._utterances:
            if played == MOST_UTTERANCES:
                what = f"After {played} utterances without a word from the caller it still goes on."
                self.complain(Complaint(rule_book.STOPS_TALKING, what), "assistant_speech_ended")
                self._utterances.clear()
                break
            played += 1
            await self._hears(self._utterances.pop(0))
        if self._ending and not self.over:
            await self.hangs_up()
        return self

    async def goes_on(self) -> "Caller":
        """This call; when the app has ended it, another one of the same kind that has begun."""
        if not self.over:
            return self
        again = Caller(self.stage, self.about, **{key: self.session[key] for key in self.session if key != "id"})
        again.extra = self.extra
        return await again.starts()

    async def _hears(self, utterance: JsonObject, *, cut: bool = False) -> None:
        if utterance["type"] == "speak":
            said = {key: utterance[key] for key in ("text", "ssml") if isinstance(utterance.get(key), str)}
            length = sum(len(words) for words in said.values())
            lasts = MS_PER_CHARACTER * length // (2 if cut else 1)
            await self.tell("assistant_speak", **said, duration_ms=lasts, speech_started_at=unix_ms())
        await self.tell("assistant_speech_ended")

    # --- events

    async def tell(self, kind: str, *, listening: Listening | None = None, **fields: Any) -> Outcome:
        """Send one event, judge what comes. `listening`: how long for; None: as long as this event is worth."""
        self._number += 1
        return await self.repeat(self._number, kind, listening=listening, **fields)

    async def repeat(self, number: int, kind: str, *, listening: Listening | None = None, **fields: Any) -> Outcome:
        """The event of this number, whether it went out before or not."""
        body = event_json({"type": kind, "session": self.session, **fields, **self.extra})
        name = f"{kind} #{number}"
        self.stage.events += 1
        outcome = await self.line.deliver(number, body, listening or self.stage.listening(kind))
        if outcome.fate is not Fate.TAKEN:
            self.stage.undelivered(name, kind, body, outcome, self.about)
            self.line.drop()
        self.take(name, kind, body, outcome)
        return outcome

    def take(self, name: str, kind: str, sent: bytes, outcome: Outcome) -> None:
        """Judge what an event brought, and remember what the caller will hear of it."""
        stage = self.stage
        if outcome.fate is Fate.STATUS or outcome.fate is Fate.REDIRECT:
            return
        items: list[JsonObject] = []
        for body in outcome.bodies:
            judgement = judge(body, self.id, stage.sessions)
            came = body.decode(errors="replace")
            self.blamed = self.blamed or bool(judgement.complaints)
            for complaint in judgement.complaints:
                stage.complain(complaint, name, sent.decode(), f"{outcome.status or ''} {came}".strip())
            items += judgement.items
            self.heard.append(came)
            if judgement.items and stage.over is rule_book.Over.HTTP and "json" not in outcome.content_type.lower():
                what = f"It was sent as {outcome.content_type or 'nothing'}."
                stage.complain(Complaint(rule_book.JSON_TYPE, what), name, sent.decode(), came)
        for size in outcome.binary:
            what = f"A binary frame of {size} bytes came."
            stage.complain(Complaint(rule_book.TEXT_FRAMES, what), name, sent.decode(), outcome.detail)
        self._unwanted(name, kind, sent, items)
        self._remember(items)
        if kind in WAITING_CALLER and outcome.fate is Fate.TAKEN:
            stage.took.append(outcome.took_ms)
        if stage.learning and outcome.fate is Fate.TAKEN:
            stage.habit[kind] = outcome.took_ms if items else stage.habit.get(kind)

    def complain(self, complaint: Complaint, event: str) -> None:
        """A complaint about what the app said, or did not say, lately."""
        self.stage.complain(complaint, event, f"{event} of a call", self.heard[-1] if self.heard else "nothing")

    def _unwanted(self, name: str, kind: str, sent: bytes, items: list[JsonObject]) -> None:
        """Answers to events that have none. Over a WebSocket they may be answers to earlier ones: there they are only
        judged in the first play, which waits for those."""
        rule = {"session_end": rule_book.END_UNANSWERED, "user_speech_started": rule_book.ONSET_UNANSWERED}.get(kind)
        if rule is None or not items or (self.stage.place.socket and not self.stage.learning):
            return
        kinds = ", ".join(item["type"] for item in items)
        self.stage.complain(Complaint(rule, f"{kinds} came."), name, sent.decode(), self.heard[-1])

    def _remember(self, items: list[JsonObject]) -> None:
        self.stage.actions += len(items)
        for item in items:
            self.kinds.append(item["type"])
            match item["type"]:
                case "barge_in":
                    self._utterances.clear()
                case "speak" | "audio" if not self._ending:
                    self._utterances.append(item)
                case "hangup" | "transfer":
                    self._ending = True
