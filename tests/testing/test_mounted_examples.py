"""The assistant in other frameworks: each example answers over a real connection and asks for its token."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import wsgiref.simple_server
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import httpx
import pytest
import uvicorn
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from werkzeug.serving import make_server

EXAMPLES = Path(__file__).parents[2] / "examples"
Example = Callable[[str], ModuleType]
TOKEN = {"X-API-TOKEN": "secret"}
SESSION = {"id": "s1"}
HELLO = {"type": "user_speak", "text": "hello", "session": SESSION}
SPOKEN = {"type": "speak", "session_id": "s1", "text": "You said: hello"}


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_FLOW_SHARED_SECRET", "secret")


class Place(NamedTuple):
    """Where an example is served."""

    webhook: str
    calls: str | None


Serving = Callable[[ModuleType], AbstractAsyncContextManager[Place]]


@asynccontextmanager
async def by_uvicorn(app: Any) -> AsyncIterator[int]:
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off", ws="websockets-sansio")
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve([listening]))
        yield listening.getsockname()[1]
        server.should_exit = True


@asynccontextmanager
async def asgi(example: ModuleType) -> AsyncIterator[Place]:
    async with by_uvicorn(example.app) as port:
        yield Place(f"http://127.0.0.1:{port}/webhook", f"ws://127.0.0.1:{port}/calls")


@asynccontextmanager
async def in_thread(server: Any) -> AsyncIterator[None]:
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@asynccontextmanager
async def flask(example: ModuleType) -> AsyncIterator[Place]:
    server = make_server("127.0.0.1", 0, example.app, threaded=True)
    async with in_thread(server):
        yield Place(f"http://127.0.0.1:{server.server_port}/webhook", None)


@asynccontextmanager
async def wsgi(example: ModuleType) -> AsyncIterator[Place]:
    server = wsgiref.simple_server.make_server("127.0.0.1", 0, example.app, handler_class=Quiet)
    async with in_thread(server):
        yield Place(f"http://127.0.0.1:{server.server_port}/", None)


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing to the terminal."""


@asynccontextmanager
async def aiohttp(example: ModuleType) -> AsyncIterator[Place]:
    runner = web.AppRunner(example.create_app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield Place(f"http://127.0.0.1:{port}/webhook", f"ws://127.0.0.1:{port}/webhook")
    await runner.cleanup()


SERVED: dict[str, Serving] = {
    "06_fastapi": asgi,
    "07_starlette": asgi,
    "08_flask": flask,
    "10_aiohttp": aiohttp,
    "12_any_framework": wsgi,
}
FRAMEWORKS = pytest.mark.parametrize("name", SERVED)


@FRAMEWORKS
async def test_a_webhook_is_answered_and_asks_for_its_token(example: Example, name: str) -> None:
    async with SERVED[name](example(name)) as place, httpx.AsyncClient(headers=TOKEN) as client:
        answer = await client.post(place.webhook, json=HELLO)
        assert (answer.status_code, answer.json()) == (200, SPOKEN)
        assert (await client.post(place.webhook, json={"type": "session_end", "session": SESSION})).status_code == 204
        assert (await client.post(place.webhook, content=b"nonsense")).status_code == 400
        assert (await client.post(place.webhook, json=HELLO, headers={"X-API-TOKEN": "guess"})).status_code == 401


@pytest.mark.parametrize("name", ["06_fastapi", "07_starlette", "10_aiohttp"])
async def test_a_websocket_is_answered_and_asks_for_its_token(example: Example, name: str) -> None:
    async with SERVED[name](example(name)) as place:
        assert place.calls is not None
        async with connect(place.calls, additional_headers=TOKEN) as service:
            await service.send(json.dumps(HELLO))
            assert json.loads(await service.recv()) == SPOKEN
        with pytest.raises(InvalidStatus, match="401"):
            await connect(place.calls)


@pytest.mark.parametrize("name", ["06_fastapi", "07_starlette", "08_flask", "10_aiohttp"])
async def test_a_visitor_is_told_what_this_is(example: Example, name: str) -> None:
    async with SERVED[name](example(name)) as place, httpx.AsyncClient() as client:
        assert "POST events here" in (await client.get(place.webhook)).json()["message"]


async def test_the_routes_beside_it_stay(example: Example) -> None:
    async with asgi(example("06_fastapi")) as place, httpx.AsyncClient() as client:
        assert (await client.get(place.webhook.replace("webhook", "health"))).json() == {"status": "ok"}


async def test_the_websockets_package_is_served(example: Example) -> None:
    server = await example("13_websockets").start_server(0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        async with connect(f"ws://127.0.0.1:{port}", additional_headers=TOKEN) as service:
            await service.send(json.dumps(HELLO))
            assert json.loads(await service.recv()) == SPOKEN
        async with connect(f"ws://127.0.0.1:{port}") as service:
            with pytest.raises(ConnectionClosed, match="1008"):
                await service.recv()


DJANGO = """
import asyncio, json, runpy, sys
example = runpy.run_path({path!r}, run_name="django_example")
sys.modules["django_example"] = type(sys)("django_example")
sys.modules["django_example"].urlpatterns = example["urlpatterns"]
import django
django.setup()
from django.test import AsyncClient, Client
hello = {hello!r}
sent = dict(path="/webhook", content_type="application/json")
for status, token in ((200, "secret"), (401, "guess")):
    headers = {{"X-API-TOKEN": token}}
    answer = Client().post(data=hello, headers=headers, **sent)
    assert answer.status_code == status, answer
    said = answer.content
    answer = asyncio.run(AsyncClient().post(data=hello, headers=headers, **sent))
    assert (answer.status_code, answer.content) == (status, said), answer
    if status == 200:
        print(said.decode())
assert Client().get("/webhook").status_code == 200
assert Client().delete("/webhook").status_code == 405
checks = Client(enforce_csrf_checks=True)
assert checks.post(data=b"x", headers={{"X-API-TOKEN": "secret"}}, **sent).status_code == 400
"""


def test_django_answers_by_wsgi_and_by_asgi() -> None:
    """In a process of its own: Django is configured once in each."""
    code = DJANGO.format(path=str(EXAMPLES / "09_django.py"), hello=json.dumps(HELLO))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == SPOKEN


# --- AWS Lambda


def lambda_request(body: str, *, encoded: bool = False, method: str = "POST", token: str = "secret") -> dict[str, Any]:
    """As a function URL gives it (payload format 2.0)."""
    headers = {"x-api-token": token, "content-type": "application/json"}
    context = {"http": {"method": method, "path": "/", "protocol": "HTTP/1.1"}}
    return {"version": "2.0", "headers": headers, "body": body, "isBase64Encoded": encoded, "requestContext": context}


def test_a_lambda_function_answers(example: Example) -> None:
    handler = example("11_aws_lambda").handler
    answer = handler(lambda_request(json.dumps(HELLO)), None)
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["text"] == "Turn 1: hello"
    encoded = "eyJ0eXBlIjogInVzZXJfc3BlYWsiLCAidGV4dCI6ICJ4IiwgInNlc3Npb24iOiB7ImlkIjogInMxIn19"
    assert json.loads(handler(lambda_request(encoded, encoded=True), None)["body"])["text"] == "Turn 2: x"
    ended = handler(lambda_request(json.dumps({"type": "session_end", "session": SESSION})), None)
    assert ended == {"statusCode": 204, "headers": {}, "body": ""}
    statuses = {
        handler(lambda_request("{}"), None)["statusCode"]: 400,
        handler(lambda_request("{}", token="guess"), None)["statusCode"]: 401,
        handler(lambda_request("", method="GET"), None)["statusCode"]: 200,
        handler(lambda_request("", method="PUT"), None)["statusCode"]: 405,
    }
    assert all(found == expected for found, expected in statuses.items())
    assert handler(lambda_request("no base64!", encoded=True), None)["statusCode"] == 400


# --- what the examples are


def test_an_example_of_a_framework_has_at_most_thirty_lines() -> None:
    counted = {path.name: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py") if path.name >= "06"}
    assert len(counted) >= 12
    assert {name: lines for name, lines in counted.items() if lines > 30} == {}
