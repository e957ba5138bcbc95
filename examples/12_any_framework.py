"""In anything else that has a request's body and headers: here wsgiref of the standard library.
`python examples/12_any_framework.py`"""

import os
from collections.abc import Iterable
from http import HTTPStatus
from wsgiref.headers import Headers
from wsgiref.simple_server import make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from offhook import Assistant, UserSpeak

assistant = Assistant(token=os.environ.get("AI_FLOW_SHARED_SECRET"))


@assistant.on_user_speak
def answer(event: UserSpeak) -> str:
    return f"You said: {event.text}"


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    result = assistant.answer_request(body, Headers([("X-API-TOKEN", environ.get("HTTP_X_API_TOKEN", ""))]))
    start_response(f"{result.status} {HTTPStatus(result.status).phrase}", list(result.headers.items()))
    return [result.body]


if __name__ == "__main__":
    make_server("127.0.0.1", 3000, app).serve_forever()
