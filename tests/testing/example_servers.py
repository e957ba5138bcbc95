"""Each example behind its real framework and on a real connection, in this process where the framework lets it."""

import asyncio
import socket
import sys
import threading
import wsgiref.simple_server
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import uvicorn
from aiohttp import web
from websockets.asyncio.server import Server
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.testing.model_servers import model_of

EXAMPLES = Path(__file__).parents[2] / "examples"
TOKEN = "secret"

Example: TypeAlias = Callable[[str], ModuleType]


class Place(NamedTuple):
    """Where an example is served: webhooks, WebSockets, or both; "": it has none. `token`: what it asks for."""

    webhook: str
    calls: str = ""
    token: str | None = TOKEN


Serving: TypeAlias = Callable[[Example, str], AbstractAsyncContextManager[Place]]


def free_address() -> socket.socket:
    """A port of loopback, taken, whose connections send what is written at once (Nagle's algorithm would wait)."""
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    taken.bind(("127.0.0.1", 0))
    taken.listen(128)
    return taken


@asynccontextmanager
async def by_uvicorn(app: Any) -> AsyncIterator[int]:
    """The port of an ASGI app."""
    config = uvicorn.Config(app, log_config=None, lifespan="off", ws="websockets-sansio")
    server = uvicorn.Server(config)
    taken = free_address()
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve([taken]))
        try:
            yield taken.getsockname()[1]
        finally:
            server.should_exit = True


@asynccontextmanager
async def in_thread(server: Any) -> AsyncIterator[None]:
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield
    finally:
        await asyncio.to_thread(server.shutdown)
        serving.join()
        server.server_close()


@asynccontextmanager
async def assistant(example: Example, name: str) -> AsyncIterator[Place]:
    async with by_uvicorn(example(name).assistant) as port:
        yield Place(f"http://127.0.0.1:{port}/", f"ws://127.0.0.1:{port}/", None)


@asynccontextmanager
async def desk(example: Example, name: str) -> AsyncIterator[Place]:
    """It finds a slot without looking it up for two seconds."""

    async def at_once(half_day: str, offered: int) -> str:
        return f"{half_day} {offered}"

    async with by_uvicorn(example(name).create_assistant(look_up=at_once)) as port:
        yield Place(f"http://127.0.0.1:{port}/", f"ws://127.0.0.1:{port}/", None)


@asynccontextmanager
async def asgi(example: Example, name: str) -> AsyncIterator[Place]:
    async with by_uvicorn(example(name).app) as port:
        yield Place(f"http://127.0.0.1:{port}/webhook", f"ws://127.0.0.1:{port}/calls")


class QuietFlask(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        """Nothing to the terminal."""


@asynccontextmanager
async def flask(example: Example, name: str) -> AsyncIterator[Place]:
    module = example(name)
    app = module.app if hasattr(module, "app") else module.create_app(TOKEN)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietFlask)
    async with in_thread(server):
        yield Place(f"http://127.0.0.1:{server.server_port}/webhook")


class QuietWsgi(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing to the terminal."""


@asynccontextmanager
async def wsgi(example: Example, name: str) -> AsyncIterator[Place]:
    module = example(name)
    server = wsgiref.simple_server.make_server("127.0.0.1", 0, module.app, module.Server, QuietWsgi)
    async with in_thread(server):
        yield Place(f"http://127.0.0.1:{server.server_port}/")


@asynccontextmanager
async def by_aiohttp(app: web.Application) -> AsyncIterator[int]:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def aiohttp(example: Example, name: str) -> AsyncIterator[Place]:
    async with by_aiohttp(example(name).create_app()) as port:
        yield Place(f"http://127.0.0.1:{port}/webhook", f"ws://127.0.0.1:{port}/webhook")


@asynccontextmanager
async def websockets(example: Example, name: str) -> AsyncIterator[Place]:
    module = example(name)
    server: Server
    server = await (module.start_server(0) if name >= "13" else module.start_server("127.0.0.1", 0, TOKEN))
    async with server:
        yield Place("", f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")


@asynccontextmanager
async def django(example: Example, name: str) -> AsyncIterator[Place]:
    """As the file says, in a process of its own: Django is configured once in each."""
    del example
    with free_address() as free:
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / f"{name}.py"),
        "runserver",
        "--noreload",
        "--skip-checks",
        str(port),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(20):
            while not await takes_connections(port):
                assert process.returncode is None, f"{name} ended by itself"
        yield Place(f"http://127.0.0.1:{port}/webhook")
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def takes_connections(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def lambda_request(
    body: str, headers: dict[str, str] | None = None, *, encoded: bool = False, method: str = "POST"
) -> dict[str, Any]:
    """As a function URL gives it (payload format 2.0)."""
    headers = {"x-api-token": TOKEN, "content-type": "application/json"} if headers is None else headers
    context = {"http": {"method": method, "path": "/", "protocol": "HTTP/1.1"}}
    return {"version": "2.0", "headers": headers, "body": body, "isBase64Encoded": encoded, "requestContext": context}


@asynccontextmanager
async def aws_lambda(example: Example, name: str) -> AsyncIterator[Place]:
    """One instance of the function behind its URL; it has one request at a time."""
    handler, turn = example(name).handler, asyncio.Lock()

    async def invoke(request: web.Request) -> web.Response:
        headers = {key.lower(): value for key, value in request.headers.items()}
        event = lambda_request(await request.text(), headers, method=request.method)
        async with turn:
            answer = await asyncio.to_thread(handler, event, None)
        return web.Response(status=answer["statusCode"], headers=answer["headers"], body=answer["body"].encode())

    app = web.Application()
    app.router.add_route("*", "/", invoke)
    async with by_aiohttp(app) as port:
        yield Place(f"http://127.0.0.1:{port}/")


@asynccontextmanager
async def with_model(example: Example, name: str) -> AsyncIterator[Place]:
    async with model_of(name):
        module = example(name)
        async with module.client, assistant(lambda _: module, name) as place:
            yield place


SERVED: dict[str, Serving] = {
    "01_echo": assistant,
    "02_flask_webhook": flask,
    "03_websocket": websockets,
    "04_appointment_desk": desk,
    "05_call_somebody": assistant,
    "06_fastapi": asgi,
    "07_starlette": asgi,
    "08_flask": flask,
    "09_django": django,
    "10_aiohttp": aiohttp,
    "11_aws_lambda": aws_lambda,
    "12_any_framework": wsgi,
    "13_websockets": websockets,
    "14_state": assistant,
    "15_openai_compatible": with_model,
    "16_anthropic": with_model,
    "17_local_model": with_model,
}
"""Every example."""
