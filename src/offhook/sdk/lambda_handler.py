"""The assistant as an AWS Lambda function behind a function URL or an HTTP API (payload format 2.0):
`handler = assistant.aws_lambda()`. On the standard library alone."""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from offhook.sdk import http_answer
from offhook.sdk.http_answer import HttpAnswer, RequestHeaders

LambdaHandler: TypeAlias = Callable[[Mapping[str, Any], object], dict[str, Any]]


class Answers(Protocol):
    """What the function needs of an assistant."""

    def answer_at_once(self, body: bytes, headers: RequestHeaders) -> HttpAnswer: ...


def handler(assistant: Answers) -> LambdaHandler:
    """Answers one request. A function is frozen once it has returned, so that all replies go into the one answer."""

    def handle(request: Mapping[str, Any], context: object) -> dict[str, Any]:
        method = str(request.get("requestContext", {}).get("http", {}).get("method", "POST"))
        if method in {"GET", "HEAD"}:
            return _response(http_answer.WELCOME)
        if method != "POST":
            return _response(http_answer.refused(405, f"{method} is not served.", "POST one event."))
        body = request.get("body") or ""
        try:
            sent = base64.b64decode(body, validate=True) if request.get("isBase64Encoded") else body.encode()
        except binascii.Error:
            return _response(http_answer.refused(400, "The body is not base64, as it says.", "Send one event."))
        return _response(assistant.answer_at_once(sent, request.get("headers") or {}))

    return handle


def _response(answer: HttpAnswer) -> dict[str, Any]:
    return {"statusCode": answer.status, "headers": answer.headers, "body": answer.body.decode()}
