"""Plays about connections: kept alive, idle, broken, dropped, opened again; tokens and signatures."""

import base64
import os
from typing import Final

from offhook.protocol.signature import PREFIX, Signer
from offhook.testing.conformance import rule_book
from offhook.testing.conformance.caller import Caller
from offhook.testing.conformance.finding import Complaint
from offhook.testing.conformance.stage import Stage, event_json
from offhook.testing.conformance.websocket_wire import HandshakeRefused, WebSocketLine
from offhook.testing.conformance.wire import Fate, Identity, Listening, Outcome
from offhook.testing.conformance.wire_clock import pause, unix_ms

_A_MOMENT_SECONDS: Final = 0.05
_NO_JSON: Final = b'{"type": "user_speak", "text": "hel'
_REFUSED: Final = frozenset({401, 403})


async def idle_connection(stage: Stage) -> None:
    """Somebody's telephone rings: a connection without a word (HTTP), or without an event (WebSocket)."""
    await stage.http.close()
    if stage.place.socket:
        rings = stage.websocket(stage.identity(stage.session()["id"]))
        try:
            await rings.connect()
        except HandshakeRefused as refused:
            stage.undelivered("the handshake", "session_start", b"", refused.outcome, rule_book.IDLE_IS_FREE)
            return
        await _another_call(stage, rule_book.IDLE_IS_FREE)
        await rings.hang_up()
        return
    connection = await stage.http.connection()
    await pause(_A_MOMENT_SECONDS)
    await _another_call(stage, rule_book.IDLE_IS_FREE)
    connection.drop()
    await stage.http.close()


async def lost_connection(stage: Stage) -> None:
    """Connections that break off in the middle, each followed by a call that must not notice."""
    if stage.place.socket:
        call = await Caller(stage, rule_book.LIVES_ON).starts()
        if not call.over:
            await call.tell("user_speak", text="hello", barged_in=False)
        call.line.drop()
        await _another_call(stage, rule_book.LIVES_ON)
        return
    session = stage.session()
    body = event_json({"type": "session_start", "session": session})
    headers = stage.identity(session["id"]).event_headers(1, body, unix_ms() // 1000)
    for sent in (
        stage.http.head(headers, len(body)) + body[: len(body) // 2],
        stage.http.head(headers, len(body)) + body,
    ):
        connection = await stage.http.connection()
        await connection.say(sent)
        await pause(_A_MOMENT_SECONDS)
        connection.drop()
        await _another_call(stage, rule_book.LIVES_ON)


async def no_json(stage: Stage) -> None:
    """Something that is no JSON; afterwards a call as always."""
    session_id = str(stage.session()["id"])
    if stage.place.socket:
        line = stage.websocket(stage.identity(session_id))
        await line.deliver(1, _NO_JSON, Listening(_A_MOMENT_SECONDS, _A_MOMENT_SECONDS))
        line.drop()
        await _another_call(stage, rule_book.LIVES_ON)
        return
    headers = stage.identity(session_id).event_headers(1, _NO_JSON, unix_ms() // 1000)
    outcome = await stage.http.post(headers, _NO_JSON)
    if outcome.status is None or not 400 <= outcome.status < 500:
        complaint = Complaint(rule_book.REFUSES_NO_JSON, f"It was answered by {outcome.detail}.")
        stage.complain(complaint, "a body that is no JSON", _NO_JSON.decode(), outcome.detail)
    await _another_call(stage, rule_book.LIVES_ON)


async def pings(stage: Stage) -> None:
    call = await (await Caller(stage).starts()).goes_on()
    assert isinstance(call.line, WebSocketLine), "this play is for WebSockets"
    if not await call.line.answers_ping(stage.aim.time_limit):
        what = f"No pong came within {stage.aim.time_limit:g} s."
        stage.complain(Complaint(rule_book.PONGS, what), "a ping", "ping", "nothing")
        call.line.drop()
    await call.hangs_up()


async def reconnected(stage: Stage) -> None:
    """The connection breaks in the middle of a call, and the service comes again with the next event."""
    call = await (await Caller(stage, rule_book.TAKES_RECONNECTION).starts()).goes_on()
    call.line.drop()
    await pause(_A_MOMENT_SECONDS)
    call = await call.presses("1")
    if not call.over:
        await call.says("hello")
    await call.hangs_up()


async def tokens(stage: Stage) -> None:
    assert stage.aim.token is not None, "this play is for apps that were told a token"
    for token in (None, "", f"not-{stage.aim.token}", stage.aim.token[:-1]):
        identity = Identity(str(stage.session()["id"]), token)
        outcome = await _admitted(stage, identity)
        if outcome is not None:
            given = "no token" if token is None else f"the token {token!r}"
            complaint = Complaint(rule_book.TOKEN_CHECKED, f"A request with {given} was answered by {outcome.detail}.")
            stage.complain(complaint, "session_start #1", f"session_start with {given}", outcome.detail)


async def signatures(stage: Stage) -> None:
    for signer, what in (
        (None, "no signature"),
        (Signer(PREFIX + base64.b64encode(os.urandom(24)).decode()), "the signature of another secret"),
    ):
        identity = Identity(str(stage.session()["id"]), stage.aim.token, signer)
        body = event_json({"type": "session_start", "session": {"id": identity.session_id}})
        outcome = await stage.http.post(identity.event_headers(1, body, unix_ms() // 1000), body)
        if outcome.status is None or not 400 <= outcome.status < 500:
            complaint = Complaint(rule_book.SIGNATURE_CHECKED, f"A request with {what} got {outcome.detail}.")
            stage.complain(complaint, "session_start #1", f"session_start with {what}", outcome.detail)


async def _admitted(stage: Stage, identity: Identity) -> Outcome | None:
    """What a stranger got who was not sent away; None when he was."""
    session = {**stage.session(), "id": identity.session_id}
    body = event_json({"type": "session_start", "session": session})
    if not stage.place.socket:
        outcome = await stage.http.post(identity.event_headers(1, body, unix_ms() // 1000), body)
        return None if outcome.status in _REFUSED else outcome
    line = stage.websocket(identity)
    outcome = await line.deliver(1, body, stage.listening("session_start"))
    line.drop()
    sent_away = outcome.status in _REFUSED or (outcome.fate is Fate.BROKEN and not outcome.bodies)
    return None if sent_away else outcome


async def _another_call(stage: Stage, about: rule_book.Rule) -> None:
    """A call that must go as any other."""
    call = await (await Caller(stage, about).starts()).goes_on()
    await (await call.says("hello")).hangs_up()
