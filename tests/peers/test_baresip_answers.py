"""Everything that real apps answer, given by a real HTTP server during a real call: the call goes on (D17, D22-D26)."""

import asyncio
import base64
import gzip
import json
from collections.abc import Mapping, Sequence

import pytest

from offhook.calls.call_log import RecordedCall
from offhook.conversation.inputs import ActionsArrived, AppFailed, AppLost
from tests.peers.apps import Action, Answer, Event, Raw, ScriptedApp
from tests.peers.baresip import Baresip
from tests.peers.conftest import Phones, Serves
from tests.peers.service import Service
from tests.peers.sound import PROMPTS, best_match, prompt

pytestmark = [pytest.mark.peers, pytest.mark.speech]

GOODBYE = "vm-goodbye"
ASK, CHECK, LEAVE = "1", "2", "#"


class OddApp(ScriptedApp):
    """Answers each press of `1` with the next odd answer, and each `2` by saying which one that was."""

    def __init__(self, odd: Sequence[Answer]) -> None:
        super().__init__(self._answer_to)
        self.odd = odd
        self.asked = 0

    def _answer_to(self, event: Event) -> Answer:
        if event["type"] == "session_start":
            return {"type": "speak", "text": "Hello."}
        if event["type"] != "dtmf_received":
            return None
        match event["digit"]:
            case "1":
                self.asked += 1
                return self.odd[self.asked - 1]
            case "2":
                return [{"type": "barge_in"}, {"type": "speak", "text": still_here(self.asked)}]
            case _:
                recording = base64.b64encode((PROMPTS / f"{GOODBYE}.wav").read_bytes()).decode()
                return [{"type": "barge_in"}, {"type": "audio", "audio": recording}, {"type": "hangup"}]

    async def has_said(self, text: str) -> None:
        """Wait until the caller hears this."""
        await self.ledger.until("assistant_speak", where=lambda event: event.get("text") == text)


def still_here(number: int) -> str:
    return f"Still here after {number}."


async def call_over(app: OddApp, service: Service, caller: Baresip) -> RecordedCall:
    """Let the app say goodbye, and be sure that the caller heard it to its end."""
    await caller.press(LEAVE)
    await caller.until("CALL_CLOSED")
    await app.ledger.until("session_end")
    await service.stop()
    (call,) = service.calls()
    score, at = best_match(caller.heard(), prompt(GOODBYE))
    assert score >= 0.95, (score, at)
    assert app.ledger.types[-1] == "session_end"
    assert app.ledger.types.count("session_end") == 1
    assert not [fact for _, fact in call.facts if isinstance(fact, AppLost)]
    return call


async def ask_for_each(app: OddApp, service: Service, caller: Baresip) -> None:
    """Have every odd answer given, and after each of them a spoken reply."""
    await caller.dial(service.uri())
    await app.ledger.until("assistant_speak")
    for number in range(1, len(app.odd) + 1):
        await caller.press(ASK)
        await caller.press(CHECK)
        await app.has_said(still_here(number))


ECHO: Mapping[str, object] = {"type": "dtmf_received", "session": {"id": "1"}, "digit": "1"}

NOTHING_TO_DO = (
    Raw(204),
    Raw(200),
    Raw(200, content_type=None),
    Raw(201, b"null"),
    Raw(200, b"null"),
    Raw(200, b"[]"),
    Raw(200, b"{}"),
    Raw(200, b"  \r\n "),
    Raw(200, b"OK", "text/plain"),
    Raw(200, b"OK"),
    Raw(200, b"<html><body>It works!</body></html>", "text/html"),
    Raw(200, b'"ok"'),
    Raw(200, b"true"),
    Raw(200, b"17"),
    Raw(200, b"[null]"),
    Raw(200, b'{"success": true}'),
    Raw(200, b'[{"success": true}]'),
    Raw(200, b'{"type": "welcome"}'),
    Raw(200, json.dumps(ECHO).encode()),
    Raw(200, json.dumps([ECHO]).encode()),
    Raw(200, b'{"type": null}'),
    Raw(200, b"\xef\xbb\xbf[]"),
    Raw(200, gzip.compress(b"[]"), headers={"Content-Encoding": "gzip"}),
)


async def test_all_that_means_nothing_to_do_is_no_failure_and_the_call_goes_on(serve: Serves, phone: Phones) -> None:
    """Contract D24."""
    async with OddApp(NOTHING_TO_DO) as app:
        service, caller = await serve(app.webhook), await phone()
        await ask_for_each(app, service, caller)
        call = await call_over(app, service, caller)

    assert not [fact for _, fact in call.facts if isinstance(fact, AppFailed)]
    assert app.asked == len(NOTHING_TO_DO)


NONSENSE = (
    Raw(200, b"{"),
    Raw(200, b'[{"type": "speak"'),
    Raw(200, b'{"type": "speak", "text": "half'),
    Raw(200, b"[" * 100_000),
    Raw(200, b'{"text": "\xff\xfe"}'),
    Raw(200, "OK, für später".encode("utf-16")),
    Raw(200, b"[" + b" " * (8 << 20) + b"]"),
    Raw(200, b"plain", headers={"Content-Encoding": "gzip"}),
    Raw(200, broken=True),
)
REFUSALS = (
    *(Raw(status, b'{"error": "no"}') for status in (400, 401, 403, 404, 405, 422, 429, 500, 502, 503)),
    *(Raw(status, headers={"Location": "http://127.0.0.1:9/"}) for status in (301, 302, 307, 308)),
    Raw(500, b'[{"type": "hangup"}]'),
    Raw(302, headers={"Location": "/webhook"}),
)


async def test_one_answer_that_cannot_be_used_is_a_failure_and_the_call_goes_on(serve: Serves, phone: Phones) -> None:
    """Contract D24 (nonsense), D26, D27: not sent again, not followed, and what stands in it is not done."""
    odd = (*NONSENSE, *REFUSALS)
    async with OddApp(odd) as app:
        service, caller = await serve(app.webhook), await phone()
        await ask_for_each(app, service, caller)
        call = await call_over(app, service, caller)

    failures = [fact for _, fact in call.facts if isinstance(fact, AppFailed)]
    assert len(failures) == len(odd)
    assert len(app.ledger.of("dtmf_received")) == 2 * len(odd) + 1


INVALID: tuple[Action, ...] = (
    {"type": "speak"},
    {"type": "speak", "text": ["a"]},
    {"type": "dance"},
    {"type": "Speak ", "text": "no"},
    {"type": "hangup", "session_id": "another session"},
    {"type": "audio"},
    {"type": "audio", "audio": "not base64!"},
    {"type": "audio", "audio": "bm90IGEgV0FW"},
    {"type": "mix_audio", "audio": "bm90IGEgV0FW"},
    {"type": "transfer"},
    {"type": "transfer", "target_phone_number": "nobody"},
    {"type": "dtmf", "dtmf": "12"},
    {"type": "dtmf"},
)
NO_ACTIONS: tuple[object, ...] = (
    {"type": ["speak"]},
    {"text": "no type"},
    "speak",
    17,
    [],
    [{"type": "hangup"}],
)
WARPED: tuple[Action, ...] = (
    {"type": "speak", "text": 5},
    {"type": "speak", "text": "Strange.", "tts": "azure", "barge_in": "immediate", "vad": 3},
    {"type": "speak", "text": "Stranger.", "tts": {"provider": "AZURE", "voice": 7}, "barge_in": {"strategy": "?"}},
    {"type": "speak", "ssml": "Hello <b>there", "user_input_timeout_seconds": "soon", "what": {"is": "this"}},
    {"type": "speak", "text": "Strangest.", "provider": {"provider": "Nobody", "voice": {"id": "x"}}},
    {"type": "configure_transcription", "provider": "NOBODY", "languages": ["xx-YY"] * 9, "custom_vocabulary": ["a"]},
    {"type": "configure_transcription"},
    {"type": "mix_audio", "stop": True},
    {"type": "barge_in", "session_id": None},
)


async def test_an_invalid_action_is_dropped_alone_and_explained(serve: Serves, phone: Phones) -> None:
    """Contract D17 (and D9, D10, D13, D14, D18 for what is mended): what stands behind it in the array is heard."""
    odd: list[Answer] = []
    for number, action in enumerate((*INVALID, *NO_ACTIONS, *WARPED), 1):
        array = [{"type": "barge_in"}, action, {"type": "speak", "text": heard_behind(number)}]
        odd.append(Raw(200, json.dumps(array).encode(), "text/plain"))
    async with OddApp(odd) as app:
        service, caller = await serve(app.webhook), await phone()
        await caller.dial(service.uri())
        await app.ledger.until("assistant_speak")
        for number in range(1, len(odd) + 1):
            await caller.press(ASK)
            await app.has_said(heard_behind(number))
        call = await call_over(app, service, caller)

    refused = [refusal for _, fact in call.facts if isinstance(fact, ActionsArrived) for refusal in fact.refused]
    dropped = [order for _, order in call.orders if order["type"] == "Dropped" and "[1]" in str(order["path"])]
    assert len(dropped) == len(refused) == len(INVALID)
    assert len([note for _, note in call.notes if " is no action" in note]) == len(NO_ACTIONS) - 1
    assert {"5", "Strange.", "Stranger.", "Strangest."} <= {event.get("text") for event in app.ledger.events}
    assert all(order["code"] and order["remedy"] for order in dropped)
    assert not [fact for _, fact in call.facts if isinstance(fact, AppFailed)]


def heard_behind(number: int) -> str:
    return f"Behind {number}."


async def test_a_slow_answer_holds_back_for_a_second_and_still_runs(serve: Serves, phone: Phones) -> None:
    """Contract D22, D25, D26: the next event comes while the app thinks, and what it says late is said."""
    thought = asyncio.Event()
    slow = Raw(200, json.dumps([{"type": "speak", "text": "This took long."}]).encode(), after=thought.wait)
    async with OddApp([slow]) as app:
        service, caller = await serve(app.webhook, flow="answer_within_seconds = 10"), await phone()
        await ask_for_each(app, service, caller)
        thought.set()
        await app.has_said("This took long.")
        call = await call_over(app, service, caller)

    one, two = [got.at for got in app.ledger.received if got.event["type"] == "dtmf_received"][:2]
    assert 0.8 <= two - one <= 2
    assert not [fact for _, fact in call.facts if isinstance(fact, AppFailed)]


async def test_an_answer_that_never_comes_is_waited_for_no_longer_than_allowed(serve: Serves, phone: Phones) -> None:
    """Contract D26: a busy app is not a dead app; the call goes on without its answer."""
    never = asyncio.Event()
    async with OddApp([Raw(204, after=never.wait)] * 2) as app:
        service, caller = await serve(app.webhook, flow="answer_within_seconds = 1.5"), await phone()
        await ask_for_each(app, service, caller)
        await app.ledger.until("assistant_speech_ended", 3)
        call = await call_over(app, service, caller)
        never.set()

    assert len([fact for _, fact in call.facts if isinstance(fact, AppFailed)]) == 2
