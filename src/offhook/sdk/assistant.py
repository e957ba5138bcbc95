"""`Assistant`: handlers by event, and everything that answers with them (contract section 8)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

from offhook.errors import OffhookError
from offhook.protocol.actions import Action
from offhook.protocol.events import (
    AssistantSpeak,
    AssistantSpeechEnded,
    DtmfReceived,
    Event,
    SessionEnd,
    SessionStart,
    UserInputTimeout,
    UserSpeak,
    UserSpeechStarted,
)
from offhook.protocol.json_codec import BODY_LIMIT, EventInvalid, EventTypeUnknown, read_event
from offhook.protocol.session import Session
from offhook.sdk import asgi, clock, http_answer
from offhook.sdk.debug_printer import DebugPrinter
from offhook.sdk.handlers import Handler, HandlerFailed, HandlerSlot, replies
from offhook.sdk.history import note_of
from offhook.sdk.http_answer import HttpAnswer, RequestHeaders
from offhook.sdk.later_replies import ANSWER_WITHIN_SECONDS, EVENT_NUMBER_HEADER, Respond, answer_then_push
from offhook.sdk.own_loop import OwnLoop
from offhook.sdk.replies import actions_of
from offhook.sdk.service_place import KEY_VARIABLE, URL_VARIABLE, configured_service
from offhook.sdk.session_lines import FORGOTTEN_AFTER_SECONDS, MOST_SESSIONS, SessionLine, SessionLines
from offhook.sdk.shared_states import SharedStates, StateUnavailable, run_shared
from offhook.sdk.websocket import WebSocketConnection, serve_connection

if TYPE_CHECKING:
    from offhook.sdk.aiohttp_handler import RequestHandler
    from offhook.sdk.django_view import View
    from offhook.sdk.flask_blueprint import FlaskBlueprint
    from offhook.sdk.lambda_handler import LambdaHandler
    from offhook.sdk.service_actions import ServiceActions

log = logging.getLogger("offhook.assistant")

Send: TypeAlias = Callable[[Sequence[Action]], Awaitable[None]]
EventT = TypeVar("EventT")

SYNC_HANDLERS_AT_ONCE = 64


class Assistant:
    """An assistant for telephone calls: an app that answers Offhook's events.

    ```python
    assistant = Assistant()

    @assistant.on_user_speak
    def answer(event):
        return f"You said: {event.text}"
    ```

    It is itself an ASGI 3 application for HTTP POST and WebSocket (`uvicorn my_app:assistant`). Other frameworks:
    `answer_request` (sync), `answer` (async), `handle_websocket` (the `websockets` package), `on_event` (an event in,
    actions out).

    Args:
        token: the secret that the service sends as `X-API-TOKEN`; None accepts everybody, with one warning (D35a).
        api_key: the same, under the name of the AI Flow documents.
        service_url: where the service serves its REST API (`http://127.0.0.1:8080`). With it, an async generator behind
            a webhook sends each reply as it comes: the first as the HTTP answer, the others over the API (D31).
            Default: OFFHOOK_SERVICE_URL; None: they are collected into one answer.
        service_key: one of the service's `http.keys`. Default: OFFHOOK_SERVICE_KEY.
        answer_within_seconds: with `service_url`, an event that has no reply by then is answered with 204, and its
            replies go over the API. Keep it below the flow's time limit.
        debug: write every event and action to the terminal, with what people said; in colour when `rich` is there.
        state: makes the state of a new call, found as `event.session.state`: a class (a dataclass, a pydantic model) or
            a function. Default: a dict.
        states: where several processes share the state (`RedisStates`); None: in this process alone.
        most_sessions: sessions remembered at once in this process; beyond it the one silent longest is forgotten.
        forgotten_after_seconds: a session without an event for so long is forgotten: its `session_end` was lost.
        on_…: handlers, as an alternative to the decorators of the same names.
    """

    def __init__(
        self,
        *,
        token: str | None = None,
        api_key: str | None = None,
        service_url: str | None = None,
        service_key: str | None = None,
        answer_within_seconds: float = ANSWER_WITHIN_SECONDS,
        debug: bool = False,
        state: Callable[[], Any] = dict,
        states: SharedStates | None = None,
        most_sessions: int = MOST_SESSIONS,
        forgotten_after_seconds: float = FORGOTTEN_AFTER_SECONDS,
        on_session_start: Handler[SessionStart] | None = None,
        on_user_speak: Handler[UserSpeak] | None = None,
        on_user_barge_in: Handler[UserSpeak] | None = None,
        on_user_speech_started: Handler[UserSpeechStarted] | None = None,
        on_dtmf_received: Handler[DtmfReceived] | None = None,
        on_assistant_speak: Handler[AssistantSpeak] | None = None,
        on_assistant_speech_ended: Handler[AssistantSpeechEnded] | None = None,
        on_user_input_timeout: Handler[UserInputTimeout] | None = None,
        on_session_end: Handler[SessionEnd] | None = None,
    ) -> None:
        self._token = token or api_key or None
        self._service = configured_service(service_url, service_key)
        self._answer_within_seconds = answer_within_seconds
        self._debug = DebugPrinter() if debug else None
        self.reports_failures = False
        self._make_state = state
        self._states = states
        self._lines = SessionLines(state, most=most_sessions, forgotten_after_seconds=forgotten_after_seconds)
        self._threads = ThreadPoolExecutor(SYNC_HANDLERS_AT_ONCE, thread_name_prefix="offhook-handler")
        self._own_loop = OwnLoop()
        self._warned: set[str] = set()
        self.on_session_start = _slot("on_session_start", on_session_start)
        self.on_user_speak = _slot("on_user_speak", on_user_speak)
        self.on_user_barge_in = _slot("on_user_barge_in", on_user_barge_in)
        self.on_user_speech_started = _slot("on_user_speech_started", on_user_speech_started)
        self.on_dtmf_received = _slot("on_dtmf_received", on_dtmf_received)
        self.on_assistant_speak = _slot("on_assistant_speak", on_assistant_speak)
        self.on_assistant_speech_ended = _slot("on_assistant_speech_ended", on_assistant_speech_ended)
        self.on_user_input_timeout = _slot("on_user_input_timeout", on_user_input_timeout)
        self.on_session_end = _slot("on_session_end", on_session_end)

    def expect_token(self, token: str) -> None:
        """Accept this token and no other from now on: for whoever serves the assistant and calls it (`offhook dev`)."""
        self._token = token

    def report_failures(self) -> None:
        """Tell the service over the WebSocket when a handler fails, as `{"error": …}`: for `offhook dev`, which shows
        it in the call's timeline. Otherwise nothing is sent (D33)."""
        self.reports_failures = True

    @classmethod
    def create(cls, **options: Any) -> Self:
        """The constructor under the name of the AI Flow documents; the same options."""
        return cls(**options)

    # --- events in, actions out

    def call(self, flow_id: str, number: str, *, billing_device: str | None = None) -> str:
        """Have the service call `number` for one of its flows; gives the session's id at once, while it is dialled.

        The flow's app gets `session_start` with direction `outbound` when somebody answers, and nothing when nobody
        does. It needs `service_url` and `service_key`, and waits for the service's answer: in async code, use
        `call_async`.

        Raises:
            CallRefused: not placed: `code` and `remedy` say why.
            OffhookError: `service_url_missing`.
        """
        return self._service_needed().call_now(flow_id, number, billing_device)

    async def call_async(self, flow_id: str, number: str, *, billing_device: str | None = None) -> str:
        """As `call`, for async code."""
        return await self._service_needed().call(flow_id, number, billing_device)

    def _service_needed(self) -> "ServiceActions":
        if self._service is None:
            raise OffhookError(
                "There is no service to place calls with.",
                remedy=f"Give Assistant a service_url and a service_key, or set {URL_VARIABLE} and {KEY_VARIABLE}.",
                code="service_url_missing",
            )
        return self._service

    def state(self, of: Event | Session | str) -> Any:
        """The session's own state, as `event.session.state` is (D35); of an event, a session, or the id of one. With
        shared `states`, only within the handler of that session's event. Raises OffhookError elsewhere."""
        session = of if isinstance(of, Session | str) else of.session
        if isinstance(session, Session) and self._states is not None:
            return session.state
        line = self._lines.get(session if isinstance(session, str) else session.id)
        if line is None or self._states is not None:
            raise OffhookError(
                f"There is no state of {of if isinstance(of, str) else 'this session'!r} here.",
                remedy="Read event.session.state in a handler.",
                code="no_call_memory",
            )
        return line.state

    async def on_event(self, event: Event | bytes | str) -> list[Action]:
        """Answer one event, and return all actions once the handler is done; for integrations of your own.

        Raises:
            EventInvalid, EventTypeUnknown: `event` was JSON, and is no event that can be handled.
            HandlerFailed: the handler raised, or returned what cannot be sent.
        """
        collected: list[Action] = []

        async def collect(actions: Sequence[Action]) -> None:
            collected.extend(actions)

        await self.answer_event(read_event(event) if isinstance(event, bytes | str) else event, collect)
        return collected

    async def answer_event(self, event: Event, send: Send) -> None:
        """Answer one event; `send` is awaited with the actions of each reply as it comes.

        Waits for its turn within the session (D35). Raises:
            HandlerFailed: the handler raised, or returned what cannot be sent. It is logged already.
        """
        slot = self._slot_for(event)
        line = self._lines.line(event.session.id, clock.now())
        line.note(event)
        if self._debug is not None:
            self._debug.event(event)
        try:
            failure = await self._run(slot, line, event, send)
        except StateUnavailable as unavailable:
            log.error("session %s: %s", event.session.id, unavailable)
            failure = unavailable
        if isinstance(event, SessionEnd):
            self._lines.forget(event.session.id)
        if failure is not None:
            raise HandlerFailed(
                f"{slot.name} failed: {type(failure).__name__}: {failure}",
                remedy="See the traceback in the log.",
                code="handler_failed",
            ) from failure

    async def _run(self, slot: HandlerSlot[Any], line: SessionLine, event: Event, send: Send) -> BaseException | None:
        if slot.handler is None and not isinstance(event, UserSpeak | SessionEnd):
            # It need not wait for what goes on: nobody handles it, and it cancels nothing.
            note = note_of(event)
            if self._states is not None and note is not None:
                await self._states.note(event.session.id, note)
            return None
        turn = line.arrives(event, latest_turn_only=slot.latest_turn_only)
        if event.session.is_handled:  # one session in several events: each handler has its own
            event = event.model_copy(update={"session": event.session.model_copy()})
        event.session.remember(turn)
        call = partial(self._call, slot, line, event, send)
        if self._states is not None:
            return await run_shared(self._states, line, event, turn, call, self._make_state)
        return await line.run(event, turn, call)

    def _slot_for(self, event: Event) -> HandlerSlot[Any]:
        if isinstance(event, UserSpeak) and event.barged_in and self.on_user_barge_in.handler is not None:
            return self.on_user_barge_in
        slot: HandlerSlot[Any] = getattr(self, f"on_{event.type}")
        return slot

    async def _call(self, slot: HandlerSlot[Any], line: SessionLine, event: Event, send: Send) -> BaseException | None:
        """The wall around the developer's code: whatever it raises is logged and returned (D33)."""
        if slot.handler is None:
            return None
        session_id = event.session.id
        try:
            async with aclosing(replies(slot.handler, event, self._threads)) as all_replies:
                async for reply in all_replies:
                    actions = actions_of(reply, session_id)
                    if actions and isinstance(event, UserSpeechStarted | SessionEnd):
                        self._warn_once(f"{slot.name}: what it returns is dropped; this event cannot be answered.")
                    elif actions:
                        line.sent(actions)
                        if self._debug is not None:
                            self._debug.actions(actions)
                        await send(actions)
        except Exception as error:
            log.exception("session %s: %s failed", session_id, slot.name)
            return error
        return None

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            log.warning(text)

    # --- HTTP, WebSocket

    def admits(self, token: str | None) -> bool:
        """Whether a request with this `X-API-TOKEN` is welcome (D35a)."""
        if self._token is None:
            self._warn_once("No token is configured: every request is accepted. Set Assistant(token=…).")
            return True
        return http_answer.token_matches(self._token, token)

    async def answer(self, body: bytes, headers: RequestHeaders, tasks: asyncio.TaskGroup | None = None) -> HttpAnswer:
        """Answer one webhook request, for async frameworks. Never raises (D32, D33).

        Args:
            tasks: with `service_url`, where an async generator lives on after its first reply. Without it all replies
                are collected into one array.
        """
        if tasks is None:
            event = self._event_in(body, headers)
            return event if isinstance(event, HttpAnswer) else await self._collected(event)
        answered: asyncio.Future[HttpAnswer] = asyncio.get_running_loop().create_future()

        async def respond(answer: HttpAnswer) -> None:
            if not answered.cancelled():
                answered.set_result(answer)

        tasks.create_task(self.serve_webhook(body, headers, respond))
        return await answered

    def answer_request(self, body: bytes, headers: RequestHeaders) -> HttpAnswer:
        """Answer one webhook request, for sync frameworks such as Flask and Django. Never raises (D32, D33).

        ```python
        @app.post("/webhook")
        def webhook():
            answer = assistant.answer_request(request.get_data(), request.headers)
            return answer.body, answer.status, answer.headers
        ```
        """
        answered: Future[HttpAnswer] = Future()

        async def respond(answer: HttpAnswer) -> None:
            answered.set_result(answer)

        return self._own_loop.run(self.serve_webhook(body, headers, respond), answered)

    async def answer_from_any_loop(self, body: bytes, headers: RequestHeaders) -> HttpAnswer:
        """As `answer_request`, for async code that runs on more loops than one. Never raises (D32, D33)."""
        answered: Future[HttpAnswer] = Future()

        async def respond(answer: HttpAnswer) -> None:
            answered.set_result(answer)

        return await self._own_loop.run_async(self.serve_webhook(body, headers, respond), answered)

    def answer_at_once(self, body: bytes, headers: RequestHeaders) -> HttpAnswer:
        """As `answer_request`, with all replies in the one answer, whatever `service_url` is: for what is frozen or
        ended with its answer. Never raises (D32, D33)."""
        return self._own_loop.result(self.answer(body, headers))

    async def serve_webhook(self, body: bytes, headers: RequestHeaders, respond: Respond) -> None:
        """Answer one webhook request through `respond`, which is awaited once. With `service_url`, the answer is the
        first reply, and this returns when the later ones are delivered too (D31). Never raises (D32, D33)."""
        event = self._event_in(body, headers)
        if isinstance(event, HttpAnswer):
            await respond(event)
        elif self._service is None:
            await respond(await self._collected(event))
        else:
            number = http_answer.header(headers, EVENT_NUMBER_HEADER)
            await answer_then_push(
                partial(self.answer_event, event),
                respond,
                partial(self._service.push, event.session.id, after=number),
                within_seconds=self._answer_within_seconds,
            )

    def _event_in(self, body: bytes, headers: RequestHeaders) -> Event | HttpAnswer:
        """The event of a request, or the answer to one that has none (D32)."""
        if not self.admits(http_answer.header(headers, http_answer.TOKEN_HEADER)):
            return http_answer.WRONG_TOKEN
        if len(body) > BODY_LIMIT:
            return http_answer.TOO_LARGE
        try:
            return read_event(body)
        except EventInvalid as invalid:
            return http_answer.refused(400, invalid.what, invalid.remedy, invalid.mistakes)
        except EventTypeUnknown as unknown:
            log.info("session %s: %s", unknown.session_id, unknown.message)
            return http_answer.NOTHING_TO_DO

    async def _collected(self, event: Event) -> HttpAnswer:
        try:
            return http_answer.with_actions(await self.on_event(event))
        except HandlerFailed:
            return http_answer.FAILED

    def run(self, host: str = "127.0.0.1", port: int = 3000) -> None:
        """Serve webhooks with nothing but the standard library, until Ctrl-C; for trying things out.

        Point the flow at `http://host:port/`, or: `offhook dev http://localhost:3000/`.
        """
        from offhook.sdk.http_server import WebhookServer

        with WebhookServer(self, host, port) as server, suppress(KeyboardInterrupt):
            log.warning("serving on http://%s:%d, end with Ctrl-C", host, server.server_port)
            server.serve_forever()

    async def handle_websocket(self, connection: WebSocketConnection | asgi.AsgiWebSocket) -> None:
        """Serve one connection: of the `websockets` package (`websockets.serve(assistant.handle_websocket, …)`), or one
        of Starlette or FastAPI that nobody has accepted yet."""
        if isinstance(connection, asgi.AsgiWebSocket):
            await self(connection.scope, connection.receive, connection.send)
        else:
            await serve_connection(self, connection)

    # --- other frameworks, each imported only here

    def flask(self, path: str = "/webhook", *, name: str = "offhook") -> "FlaskBlueprint":
        """A blueprint for Flask: `app.register_blueprint(assistant.flask("/webhook"))`."""
        from offhook.sdk import flask_blueprint

        return flask_blueprint.blueprint(self, path, name)

    def django(self) -> "View":
        """A view for Django, under WSGI or ASGI: `urlpatterns = [path("webhook", assistant.django())]`."""
        from offhook.sdk import django_view

        return django_view.view(self)

    def aiohttp(self) -> "RequestHandler":
        """A handler for aiohttp, webhooks and WebSockets: `router.add_route("*", "/webhook", assistant.aiohttp())`."""
        from offhook.sdk import aiohttp_handler

        return aiohttp_handler.handler(self)

    def aws_lambda(self) -> "LambdaHandler":
        """A function for AWS Lambda behind a function URL: `handler = assistant.aws_lambda()`. Keep the state in Redis
        (`states=RedisStates(…)`): the next event may reach another instance."""
        from offhook.sdk import lambda_handler

        return lambda_handler.handler(self)

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """ASGI 3: HTTP, WebSocket and lifespan."""
        await asgi.serve(self, scope, receive, send)


def _slot(name: str, handler: Handler[EventT] | None) -> HandlerSlot[EventT]:
    slot: HandlerSlot[EventT] = HandlerSlot(name)
    if handler is not None:
        slot(handler)
    return slot


AiFlowAssistant = Assistant
"""The name of the AI Flow documents."""
