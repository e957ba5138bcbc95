"""The REST API: actions out of turn, the calls in progress, health (contract section 6)."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from offhook.calls.outbound import Because, CallWish, NotPlaced
from offhook.control.control_app import control_app
from offhook.control.metrics import Metric
from offhook.protocol.actions import Action, Hangup, Speak
from offhook.protocol.json_codec import BODY_LIMIT, RefusedAction
from offhook.protocol.session import Session

KEY = {"Authorization": "Bearer k1"}
SPEAK = {"type": "speak", "session_id": "s-1", "text": "hello"}


class Calls:
    """One call in progress, one that is over."""

    def __init__(self) -> None:
        self.here = [Session(id="s-1", account_id="acme", phone_number="+4921155660", direction="inbound")]
        self.ran: list[tuple[str, tuple[Action, ...]]] = []
        self.after: list[int | None] = []
        self.wishes: list[CallWish] = []
        self.refuses: NotPlaced | None = None

    def sessions(self) -> list[Session]:
        return self.here

    def act(
        self,
        session_id: str,
        actions: tuple[Action, ...],
        refused: tuple[RefusedAction, ...],
        after: int | None = None,
    ) -> bool:
        assert not refused
        if all(session.id != session_id for session in self.here):
            return False
        self.ran.append((session_id, actions))
        self.after.append(after)
        return True

    def has_ended(self, session_id: str) -> bool:
        return session_id == "s-0"

    def place(self, wish: CallWish) -> Session | NotPlaced:
        self.wishes.append(wish)
        return self.refuses or Session(id="s-2", account_id="acme", phone_number=wish.target, direction="outbound")


class Part:
    """A part of the service that may not be ready, and counts."""

    def __init__(self) -> None:
        self.missing: list[str] = []

    def reasons(self) -> list[str]:
        return self.missing

    def metrics(self) -> list[Metric]:
        return [Metric("offhook_calls_in_progress", "gauge", "Calls in progress.", 1)]


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def part() -> Part:
    return Part()


@pytest.fixture
async def api(calls: Calls, part: Part) -> AsyncIterator[httpx.AsyncClient]:
    app = control_app(calls, keys=("k0", "k1"), readiness=(part,), metrics=(part,))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://offhook") as client:
        yield client


async def run(api: httpx.AsyncClient, actions: Any, session_id: str = "s-1") -> httpx.Response:
    body = actions if isinstance(actions, bytes) else json.dumps(actions).encode()
    return await api.post(f"/v1/sessions/{session_id}/actions", content=body, headers=KEY)


async def test_actions_run_out_of_turn(api: httpx.AsyncClient, calls: Calls) -> None:
    answer = await run(api, [SPEAK, {"type": "hangup", "session_id": "s-1"}])
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 2
    ((session_id, (speak, hangup)),) = calls.ran
    assert session_id == "s-1"
    assert isinstance(speak, Speak)
    assert isinstance(hangup, Hangup)


async def test_one_action_may_come_alone_and_without_its_session(api: httpx.AsyncClient, calls: Calls) -> None:
    """(contract D17)"""
    answer = await run(api, {"type": "speak", "text": "hello"})
    assert answer.status_code == 202
    assert calls.ran[0][1][0].session_id == "s-1"


async def test_actions_may_go_on_from_the_answer_to_an_event(api: httpx.AsyncClient, calls: Calls) -> None:
    """(contract D31)"""
    for query, status in (("?after=7", 202), ("", 202), ("?after=seven", 422), ("?after=-1", 422)):
        answer = await api.post(f"/v1/sessions/s-1/actions{query}", json=SPEAK, headers=KEY)
        assert answer.status_code == status
    assert calls.after == [7, None]


async def test_an_unknown_session_is_404(api: httpx.AsyncClient) -> None:
    answer = await run(api, SPEAK, "s-9")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "no_such_session"


async def test_a_session_that_is_over_is_409(api: httpx.AsyncClient) -> None:
    answer = await run(api, SPEAK, "s-0")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "ended"


async def test_with_mistakes_nothing_runs_and_all_are_listed(api: httpx.AsyncClient, calls: Calls) -> None:
    answer = await run(api, [SPEAK, {"type": "speak"}, {"type": "spaek", "text": "x"}, SPEAK | {"session_id": "s-9"}])
    assert answer.status_code == 422
    mistakes = answer.json()["error"]["mistakes"]
    assert [mistake["path"].partition("]")[0] for mistake in mistakes] == ["[1", "[2", "[3"]
    assert all(mistake["remedy"] for mistake in mistakes)
    assert calls.ran == []


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"success": true}', b"[{", b"\xff\xfe[", b"OK"])
async def test_a_body_without_actions_is_422(api: httpx.AsyncClient, calls: Calls, body: bytes) -> None:
    answer = await run(api, body)
    assert answer.status_code == 422
    assert answer.json()["error"]["remedy"]
    assert calls.ran == []


async def test_a_body_over_the_limit_is_413(api: httpx.AsyncClient) -> None:
    """(contract D27)"""
    assert (await run(api, b" " * (BODY_LIMIT + 1))).status_code == 413


async def test_large_bodies_run_too(api: httpx.AsyncClient, calls: Calls) -> None:
    """(contract D27: decoded away from the loop)"""
    answer = await run(api, SPEAK | {"text": "x" * 300_000})
    assert answer.status_code == 202
    assert len(calls.ran) == 1


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer k2"}, {"Authorization": "Basic k1"}, {"Authorization": "Bearer"}]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/sessions/s-1/actions"), ("GET", "/v1/sessions"), ("POST", "/v3/ai-flows/desk/call")],
)
async def test_without_a_valid_key_the_api_is_closed(
    api: httpx.AsyncClient, calls: Calls, headers: dict[str, str], method: str, path: str
) -> None:
    answer = await api.request(method, path, headers=headers, json=SPEAK)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert calls.ran == []
    assert calls.wishes == []


async def test_without_keys_in_the_settings_nobody_may_use_the_api(calls: Calls) -> None:
    transport = httpx.ASGITransport(control_app(calls))
    async with httpx.AsyncClient(transport=transport, base_url="http://offhook") as client:
        for header in ("Bearer ", "Bearer k1", ""):
            assert (await client.get("/v1/sessions", headers={"Authorization": header})).status_code == 401


async def test_the_calls_in_progress_are_listed(api: httpx.AsyncClient) -> None:
    answer = await api.get("/v1/sessions", headers=KEY)
    assert answer.status_code == 200
    assert [session["id"] for session in answer.json()["sessions"]] == ["s-1"]
    assert answer.json()["sessions"][0]["phone_number"] == "+4921155660"


# --- calls that are placed


async def call(api: httpx.AsyncClient, body: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await api.post("/v3/ai-flows/desk/call", content=content, headers=KEY)


async def test_a_call_is_placed_and_its_session_is_told(api: httpx.AsyncClient, calls: Calls) -> None:
    """(contract section 6)"""
    answer = await call(api, {"billingDevice": "p0", "toPhoneNumber": "+49 151 12345678", "more": 1})
    assert answer.status_code == 201
    assert answer.json() == {"sessionId": "s-2"}
    assert calls.wishes == [CallWish("desk", "+49 151 12345678", billing_device="p0")]


@pytest.mark.parametrize("target", ["0211556600", "(0211) 55 66-00", "sip:desk@example.net", "tel:+4921155660"])
async def test_whatever_can_be_called_may_be_asked_for(api: httpx.AsyncClient, target: str) -> None:
    """(contract D2)"""
    assert (await call(api, {"toPhoneNumber": target})).status_code == 201


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        (b"", []),
        (b"[]", []),
        (b"{", []),
        (b"\xff", []),
        ({}, ["toPhoneNumber"]),
        ({"toPhoneNumber": ""}, ["toPhoneNumber"]),
        ({"toPhoneNumber": "mother"}, ["toPhoneNumber"]),
        ({"toPhoneNumber": 4915112345678, "billingDevice": 3}, ["toPhoneNumber", "billingDevice"]),
    ],
)
async def test_mistakes_in_the_body_of_a_call_are_listed(
    api: httpx.AsyncClient, calls: Calls, body: Any, paths: list[str]
) -> None:
    answer = await call(api, body)
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert [mistake["path"] for mistake in error.get("mistakes", [])] == paths
    assert error["remedy"]
    assert calls.wishes == []


@pytest.mark.parametrize(
    ("because", "status"),
    [
        (Because.NO_NUMBER, 400),
        (Because.NOT_ALLOWED, 403),
        (Because.NO_FLOW, 404),
        (Because.FULL, 429),
        (Because.TOO_MANY, 429),
        (Because.DRAINING, 503),
    ],
)
async def test_a_call_that_is_not_placed_says_why(
    api: httpx.AsyncClient, calls: Calls, because: Because, status: int
) -> None:
    """(contract section 6)"""
    calls.refuses = NotPlaced(because, "Not so.", "Do this.", "the_rule", 7 if status in {429, 503} else None)
    answer = await call(api, {"toPhoneNumber": "+4915112345678"})
    assert answer.status_code == status
    assert answer.json()["error"] == {
        "code": str(because),
        "message": "Not so.",
        "remedy": "Do this.",
        "rule": "the_rule",
    }
    assert answer.headers.get("Retry-After") == ("7" if status in {429, 503} else None)


async def test_it_is_alive(api: httpx.AsyncClient) -> None:
    assert (await api.get("/livez")).status_code == 200


async def test_it_is_ready_until_a_part_is_not(api: httpx.AsyncClient, part: Part) -> None:
    assert (await api.get("/readyz")).json() == {"ready": True, "reasons": []}
    part.missing = ["The service is being stopped."]
    answer = await api.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["The service is being stopped."]


async def test_monitoring_gets_numbers(api: httpx.AsyncClient) -> None:
    answer = await api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "offhook_calls_in_progress 1\n" in answer.text
