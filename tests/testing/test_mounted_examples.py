"""The assistant in other frameworks: each example answers over a real connection and asks for its token."""

import json
import subprocess
import sys

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.testing.example_servers import EXAMPLES, SERVED, Example, lambda_request

TOKEN = {"X-API-TOKEN": "secret"}
SESSION = {"id": "s1"}
HELLO = {"type": "user_speak", "text": "hello", "session": SESSION}
SPOKEN = {"type": "speak", "session_id": "s1", "text": "You said: hello"}


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_FLOW_SHARED_SECRET", "secret")


FRAMEWORKS = pytest.mark.parametrize(
    "name", ["06_fastapi", "07_starlette", "08_flask", "10_aiohttp", "12_any_framework"]
)


@FRAMEWORKS
async def test_a_webhook_is_answered_and_asks_for_its_token(example: Example, name: str) -> None:
    async with SERVED[name](example, name) as place, httpx.AsyncClient(headers=TOKEN) as client:
        answer = await client.post(place.webhook, json=HELLO)
        assert (answer.status_code, answer.json()) == (200, SPOKEN)
        assert (await client.post(place.webhook, json={"type": "session_end", "session": SESSION})).status_code == 204
        assert (await client.post(place.webhook, content=b"nonsense")).status_code == 400
        assert (await client.post(place.webhook, json=HELLO, headers={"X-API-TOKEN": "guess"})).status_code == 401


@pytest.mark.parametrize("name", ["06_fastapi", "07_starlette", "10_aiohttp"])
async def test_a_websocket_is_answered_and_asks_for_its_token(example: Example, name: str) -> None:
    async with SERVED[name](example, name) as place:
        async with connect(place.calls, additional_headers=TOKEN) as service:
            await service.send(json.dumps(HELLO))
            assert json.loads(await service.recv()) == SPOKEN
        with pytest.raises(InvalidStatus, match="401"):
            await connect(place.calls)


@pytest.mark.parametrize("name", ["06_fastapi", "07_starlette", "08_flask", "10_aiohttp"])
async def test_a_visitor_is_told_what_this_is(example: Example, name: str) -> None:
    async with SERVED[name](example, name) as place, httpx.AsyncClient() as client:
        assert "POST events here" in (await client.get(place.webhook)).json()["message"]


async def test_the_routes_beside_it_stay(example: Example) -> None:
    async with SERVED["06_fastapi"](example, "06_fastapi") as place, httpx.AsyncClient() as client:
        assert (await client.get(place.webhook.replace("webhook", "health"))).json() == {"status": "ok"}


async def test_the_websockets_package_is_served(example: Example) -> None:
    async with SERVED["13_websockets"](example, "13_websockets") as place:
        async with connect(place.calls, additional_headers=TOKEN) as service:
            await service.send(json.dumps(HELLO))
            assert json.loads(await service.recv()) == SPOKEN
        async with connect(place.calls) as service:
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
        handler(lambda_request("{}", {"x-api-token": "guess"}), None)["statusCode"]: 401,
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
