"""On a WebSocket server of the `websockets` package: `python examples/13_websockets.py`."""

import asyncio
import os

from websockets.asyncio.server import Server, serve

from offhook import Assistant, UserSpeak

assistant = Assistant(token=os.environ.get("AI_FLOW_SHARED_SECRET"), on_session_start=lambda event: "Hello.")


@assistant.on_user_speak
async def answer(event: UserSpeak) -> str:
    return f"You said: {event.text}"


async def start_server(port: int = 3001) -> Server:
    return await serve(assistant.handle_websocket, "127.0.0.1", port, compression=None)


async def main() -> None:
    await (await start_server()).serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
