"""In anything else that has a request's body and headers: here wsgiref. `python examples/12_any_framework.py`"""

import os
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from offhook import Assistant, UserSpeak

assistant = Assistant(token=os.environ.get("AI_FLOW_SHARED_SECRET"), on_session_start=lambda event: "Hello.")


@assistant.on_user_speak
def answer(event: UserSpeak) -> str:
    return f"You said: {event.text}"


def app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    result = assistant.answer_request(body, {"X-API-TOKEN": environ.get("HTTP_X_API_TOKEN", "")})
    start_response(f"{result.status} {'OK' if result.status < 300 else 'Refused'}", list(result.headers.items()))
    return [result.body]


class Server(ThreadingMixIn, WSGIServer):  # one connection that waits holds nobody up
    request_queue_size = 128


if __name__ == "__main__":
    make_server("127.0.0.1", 3000, app, Server).serve_forever()
