"""uvicorn inside the service's loop."""

import asyncio
import signal

import httpx
import pytest
from fastapi import FastAPI

from offhook.errors import OffhookError
from offhook.service.http_server import HttpServer
from offhook.service.setting_types import HostPort


def hello() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def answer() -> str:
        return "hello"

    return app


async def test_it_answers_until_it_is_stopped() -> None:
    server = HttpServer(hello(), HostPort("127.0.0.1", 0))
    where = server.bind()
    assert where.port != 0
    before = signal.getsignal(signal.SIGINT)
    async with asyncio.TaskGroup() as tasks, httpx.AsyncClient() as client:
        tasks.create_task(server.serve())
        answer = await client.get(f"http://{where}/")
        assert answer.json() == "hello"
        assert signal.getsignal(signal.SIGINT) is before
        server.stop()


async def test_a_taken_address_is_explained() -> None:
    first = HttpServer(hello(), HostPort("127.0.0.1", 0))
    where = first.bind()
    with pytest.raises(OffhookError, match=r"http\.listen") as refusal:
        HttpServer(hello(), where).bind()
    assert refusal.value.code == "address_refused"
    first.stop()
    await first.serve()


def test_a_foreign_address_is_explained() -> None:
    with pytest.raises(OffhookError, match="address of this machine"):
        HttpServer(hello(), HostPort("192.0.2.1", 0)).bind()
