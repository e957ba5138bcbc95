"""The assistant as a view of Django: `path("webhook", assistant.django())`. For WSGI and ASGI: handlers run on a loop
of the assistant's own, so that a session's order holds whatever thread or loop Django calls from."""

from collections.abc import Callable, Coroutine
from typing import Protocol

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from offhook.sdk import http_answer
from offhook.sdk.http_answer import HttpAnswer, RequestHeaders


class Answers(Protocol):
    """What the view needs of an assistant."""

    def admits(self, token: str | None) -> bool: ...

    async def answer_from_any_loop(self, body: bytes, headers: RequestHeaders) -> HttpAnswer: ...


View = Callable[[HttpRequest], Coroutine[None, None, HttpResponse]]


def view(assistant: Answers) -> View:
    """An async view; it needs no CSRF token, as it has the flow's."""

    async def event(request: HttpRequest) -> HttpResponse:
        if request.method in {"GET", "HEAD"}:
            return _response(http_answer.WELCOME)
        if request.method != "POST":
            return _response(http_answer.refused(405, f"{request.method} is not served.", "POST one event."))
        if not assistant.admits(request.headers.get(http_answer.TOKEN_HEADER)):
            return _response(http_answer.WRONG_TOKEN)
        return _response(await assistant.answer_from_any_loop(request.body, request.headers))

    exempt: View = csrf_exempt(event)
    return exempt


def _response(answer: HttpAnswer) -> HttpResponse:
    return HttpResponse(answer.body, status=answer.status, headers=answer.headers)
