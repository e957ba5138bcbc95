"""The assistant in a Flask app: `app.register_blueprint(assistant.flask("/webhook"))`."""

from typing import Protocol, TypeAlias

from flask import Blueprint, Response, request

from offhook.protocol.json_codec import BODY_LIMIT
from offhook.sdk import http_answer
from offhook.sdk.http_answer import HttpAnswer, RequestHeaders


class Answers(Protocol):
    """What the blueprint needs of an assistant."""

    def admits(self, token: str | None) -> bool: ...

    def answer_request(self, body: bytes, headers: RequestHeaders) -> HttpAnswer: ...


FlaskBlueprint: TypeAlias = Blueprint


def blueprint(assistant: Answers, path: str, name: str) -> FlaskBlueprint:
    """Events POSTed to `path` are answered; a visitor is told what this is."""
    made = Blueprint(name, __name__)

    @made.post(path)
    def event() -> Response:
        if not assistant.admits(request.headers.get(http_answer.TOKEN_HEADER)):
            return _response(http_answer.WRONG_TOKEN)
        if (request.content_length or 0) > BODY_LIMIT:
            return _response(http_answer.TOO_LARGE)
        return _response(assistant.answer_request(request.get_data(), request.headers))

    @made.get(path)
    def welcome() -> Response:
        return _response(http_answer.WELCOME)

    return made


def _response(answer: HttpAnswer) -> Response:
    return Response(answer.body, answer.status, answer.headers)
