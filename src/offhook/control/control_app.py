"""The REST API of contract section 6, with health and metrics, as one ASGI app."""

import asyncio
import hmac
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from offhook.calls.outbound import Because, CallWish, NotPlaced
from offhook.control.call_wish import read_call_wish
from offhook.control.metrics import CONTENT_TYPE, MetricsSource, as_text
from offhook.control.refusal import Refusal
from offhook.protocol.actions import Action
from offhook.protocol.json_codec import BODY_LIMIT, ActionsRead, RefusedAction, read_actions
from offhook.protocol.session import Session

# What is larger is decoded in a thread, so that no call waits for it (contract D27).
DECODED_IN_PLACE: Final = 256 * 1024


STATUS_OF: Final = {
    Because.NO_FLOW: HTTPStatus.NOT_FOUND,
    Because.NO_NUMBER: HTTPStatus.BAD_REQUEST,
    Because.NOT_ALLOWED: HTTPStatus.FORBIDDEN,
    Because.TOO_MANY: HTTPStatus.TOO_MANY_REQUESTS,
    Because.FULL: HTTPStatus.TOO_MANY_REQUESTS,
    Because.DRAINING: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The answer to a call that is not placed."""


class Calls(Protocol):
    """The calls of this node, as the API needs them."""

    def sessions(self) -> Sequence[Session]:
        """Those in progress."""

    def act(
        self,
        session_id: str,
        actions: tuple[Action, ...],
        refused: tuple[RefusedAction, ...],
        after: int | None = None,
    ) -> bool:
        """Run actions out of turn, behind the answer to the event `after`. False: no such call is in progress."""

    def has_ended(self, session_id: str) -> bool:
        """Whether a call of this id was here lately and is over."""

    def place(self, wish: CallWish) -> Session | NotPlaced:
        """Call somebody for a flow."""


class Readiness(Protocol):
    """A part that may not be able to take calls."""

    def reasons(self) -> Sequence[str]:
        """Why it is not ready, a sentence each; none: it is."""


@dataclass(frozen=True, slots=True)
class ControlApp:
    """What the app is made of. `keys` are the bearer keys that may use the API; without any nobody may."""

    calls: Calls
    keys: Collection[str] = ()
    readiness: Sequence[Readiness] = ()
    metrics: Sequence[MetricsSource] = ()

    def authorise(self, request: Request) -> None:
        """Raises Refusal unless the request carries one of the keys. Takes the same time for every wrong key."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        matches = [hmac.compare_digest(given.strip().encode(), key.encode()) for key in self.keys]
        if scheme.lower() != "bearer" or not any(matches):
            remedy = "Send 'Authorization: Bearer <key>' with one of the keys in http.keys."
            raise Refusal(HTTPStatus.UNAUTHORIZED, "key_needed", "No valid key was given.", remedy)

    async def run_actions(self, session_id: str, request: Request) -> Response:
        """`POST /v1/sessions/{id}/actions`: one action or an array. All run, or none and every mistake is listed.
        `?after=7`: they run behind the answer to the event with this `X-Event-Number` (D31)."""
        self.authorise(request)
        if all(session.id != session_id for session in self.calls.sessions()):
            raise self._not_in_progress(session_id)
        read = await _read(await _body(request), session_id)
        if read.nonsense is not None:
            message = f"The body cannot be read: {read.nonsense}."
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "nonsense", message, "Send one action or an array as JSON.")
        if read.refused:
            count = len(read.refused)
            message = f"{count} action{'' if count == 1 else 's'} cannot be run; none was."
            remedy = "Mend every mistake listed, then send all of them again."
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_actions", message, remedy, read.refused)
        if not read.actions:
            remedy = "Send at least one object with a known 'type'."
            raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "no_actions", "The body holds no action.", remedy)
        if not self.calls.act(session_id, read.actions, (), _after(request)):
            raise self._not_in_progress(session_id)
        notes = [{"path": note.path, "message": note.message} for note in read.notes]
        return JSONResponse({"accepted": len(read.actions), "notes": notes}, HTTPStatus.ACCEPTED)

    def _not_in_progress(self, session_id: str) -> Refusal:
        if self.calls.has_ended(session_id):
            return Refusal(HTTPStatus.CONFLICT, "ended", "This call is over.", "Nothing can be done to it any more.")
        remedy = "GET /v1/sessions lists the calls in progress."
        return Refusal(HTTPStatus.NOT_FOUND, "no_such_session", f"There is no call {session_id}.", remedy)

    async def place_call(self, flow_id: str, request: Request) -> Response:
        """`POST /v3/ai-flows/{aiFlowId}/call`: call somebody for a flow. 201 with the session's id: it is being
        dialled, and the flow's app hears of it when it is answered."""
        self.authorise(request)
        placed = self.calls.place(read_call_wish(flow_id, await _body(request)))
        if isinstance(placed, Session):
            return JSONResponse({"sessionId": placed.id}, HTTPStatus.CREATED)
        raise Refusal(
            STATUS_OF[placed.because],
            placed.because,
            placed.message,
            placed.remedy,
            rule=placed.rule,
            retry_after_seconds=placed.retry_after_seconds,
        )

    async def list_sessions(self, request: Request) -> Response:
        """`GET /v1/sessions`: the calls in progress."""
        self.authorise(request)
        return JSONResponse({"sessions": [session.model_dump(mode="json") for session in self.calls.sessions()]})

    async def live(self) -> Response:
        """`GET /livez`: this process answers. A supervisor that gets no answer should start it again."""
        return PlainTextResponse("alive\n")

    async def ready(self) -> Response:
        """`GET /readyz`: 200 when calls are taken, else 503 with every reason."""
        reasons = [reason for part in self.readiness for reason in part.reasons()]
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return JSONResponse({"ready": not reasons, "reasons": reasons}, status)

    async def numbers(self) -> Response:
        """`GET /metrics`: what monitoring fetches."""
        page = as_text(metric for source in self.metrics for metric in source.metrics())
        return Response(page, media_type=CONTENT_TYPE)


def control_app(
    calls: Calls,
    *,
    keys: Collection[str] = (),
    readiness: Sequence[Readiness] = (),
    metrics: Sequence[MetricsSource] = (),
) -> FastAPI:
    """The app, ready to be served."""
    parts = ControlApp(calls, tuple(keys), tuple(readiness), tuple(metrics))
    app = FastAPI(title="Offhook", docs_url=None, redoc_url=None)
    app.add_api_route("/v1/sessions", parts.list_sessions, methods=["GET"], response_class=JSONResponse)
    app.add_api_route(
        "/v1/sessions/{session_id}/actions",
        parts.run_actions,
        methods=["POST"],
        status_code=HTTPStatus.ACCEPTED,
        response_class=JSONResponse,
    )
    app.add_api_route(
        "/v3/ai-flows/{flow_id}/call",
        parts.place_call,
        methods=["POST"],
        status_code=HTTPStatus.CREATED,
        response_class=JSONResponse,
    )
    app.add_api_route("/livez", parts.live, methods=["GET"], response_class=PlainTextResponse)
    app.add_api_route("/readyz", parts.ready, methods=["GET"], response_class=JSONResponse)
    app.add_api_route("/metrics", parts.numbers, methods=["GET"], response_class=PlainTextResponse)
    app.add_exception_handler(Refusal, _answer_refusal)
    return app


def _after(request: Request) -> int | None:
    number = request.query_params.get("after")
    if number is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", number):
        return int(number)
    remedy = "Send the X-Event-Number of the request that is being answered, or leave it out."
    raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "no_event_number", "`after` is no event's number.", remedy)


async def _answer_refusal(_request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return refusal.answer()


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_LIMIT:
            message = f"The body is larger than {BODY_LIMIT} bytes."
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", message, "Send shorter audio.")
    return bytes(body)


async def _read(body: bytes, session_id: str) -> ActionsRead:
    if len(body) > DECODED_IN_PLACE:
        return await asyncio.to_thread(read_actions, body, session_id)
    return read_actions(body, session_id)
