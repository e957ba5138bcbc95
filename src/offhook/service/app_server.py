"""`python -m offhook.service.app_server`: serves the developer's assistant, and ends when who started it ends.

Started by app_process.py, with the number of that process, the descriptor of the listening socket, and the folder that
is watched for changes (nothing: the app stays as it was at the start).
"""

import ctypes
import logging
import multiprocessing
import os
import signal
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, Final

from offhook.errors import OffhookError, SettingsInvalid
from offhook.sdk.assistant import Assistant
from offhook.service.app_loader import load_app

APP_VARIABLE: Final = "OFFHOOK_SERVED_APP"
TOKEN_VARIABLE: Final = "OFFHOOK_SERVED_TOKEN"  # noqa: S105 - a name
REPORTS_VARIABLE: Final = "OFFHOOK_SERVED_REPORTS"
"""Where the path of a datagram socket stands; one datagram for each time that the app was loaded: empty when it was,
else why it was not."""

LONGEST_REPORT: Final = 4000
_PR_SET_PDEATHSIG: Final = 1
_OUR_CODE: Final = str(Path(__file__).resolve().parents[1])


def main() -> None:
    """Serve until told to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent, descriptor, *watched = sys.argv[1:]
    end_with(int(parent))
    import uvicorn

    uvicorn.run(
        "offhook.service.app_server:served_app",
        factory=True,
        fd=int(descriptor),
        log_config=None,
        log_level="error",
        access_log=False,
        timeout_graceful_shutdown=2,
        reload=bool(watched),
        reload_dirs=watched or None,
    )


def end_with(parent: int) -> None:
    """Let the kernel end this process when its parent ends, however that happens; elsewhere than on Linux only an
    orderly end of the parent does it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(1)


def served_app() -> Any:
    """What uvicorn serves, in the process that a reload ends: the assistant, or what stands in for one that does not
    load. Which of them it is, is reported."""
    reloader = multiprocessing.parent_process()
    if reloader is not None and reloader.pid is not None:
        end_with(reloader.pid)
    logging.getLogger("uvicorn.error").addFilter(_no_broken_handshake)
    try:
        assistant = _assistant(os.environ[APP_VARIABLE])
    except OffhookError as error:
        _report(str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the wall around the developer's module
        _report(what_broke(error))
    else:
        assistant.expect_token(os.environ[TOKEN_VARIABLE])
        assistant.report_failures()
        _report("")
        return assistant
    return _refuse


def _assistant(name: str) -> Assistant:
    found = load_app(name)
    if isinstance(found, Assistant):
        return found
    raise SettingsInvalid(
        f"{name} is a {type(found).__name__}, not an offhook.Assistant.",
        remedy="Run it yourself, then give its URL: offhook dev http://localhost:3000/webhook",
        code="not_an_assistant",
    )


def what_broke(error: BaseException) -> str:
    """An exception, and the line of the developer's that it concerns: file, number, text."""
    said = "".join(traceback.format_exception_only(error)[-1:]).strip()
    if isinstance(error, SyntaxError):
        file, number, text = error.filename, error.lineno, error.text or ""
    else:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_the_developers(frame.filename)]
        if not frames:
            return said
        file, number, text = frames[-1].filename, frames[-1].lineno, frames[-1].line or ""
    return f"{said}\n  {file}, line {number}: {text.strip()}"


def _is_the_developers(file: str) -> bool:
    installed = any(part in {"site-packages", "dist-packages"} for part in Path(file).parts)
    return not (installed or file.startswith((_OUR_CODE, "<", os.path.dirname(os.__file__))))  # noqa: PTH120 - a prefix


def _report(text: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(text.encode(errors="replace")[:LONGEST_REPORT], os.environ[REPORTS_VARIABLE])


def _no_broken_handshake(record: logging.LogRecord) -> bool:
    # uvicorn's word for a caller who hung up while the app was connected to.
    return "without completing handshake" not in record.getMessage()


async def _refuse(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """An ASGI app in place of one that does not load: whoever connects is refused at once."""
    await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1011})
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"The app does not load."})


if __name__ == "__main__":
    main()
