"""The command line. It parses, imports the part that one command needs, and says what to do when that fails."""

import argparse
import atexit
import gc
import importlib
import importlib.metadata
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from offhook.errors import ExtraMissing, OffhookError
from offhook.service.commands.options import (
    CallOptions,
    ChatOptions,
    CheckOptions,
    ConformanceOptions,
    DemoOptions,
    DevOptions,
    KamailioConfigOptions,
    ModelsOptions,
    ReplayOptions,
    ServeOptions,
    WhyOptions,
)
from offhook.service.commands.terminal import Terminal, printable

EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
MOST_NODES: Final = 64
SIP_LISTEN: Final = ("udp:0.0.0.0:5060", "tcp:0.0.0.0:5060")
HTTP_LISTEN: Final = "127.0.0.1:8080"

# Commands that speak with the embedded voice, and the library that it is.
_SPEAKING: Final = frozenset({"demo", "dev", "call"})
_VOICE: Final = "espeakng_loader"

_APP_HELP: Final = "my_app.py, my_app.py:name, package.module:name, or the URL of a running app"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parsed = _parser().parse_args(arguments)
    # The last search of a process for what nothing points at takes a third of a second, and nobody uses what it frees.
    atexit.register(gc.freeze)
    try:
        options = parsed.options(parsed)
        return _imported(parsed.command)(options, Terminal())
    except OffhookError as error:
        for line in f"offhook {parsed.command}: {error.message}\nRemedy: {error.remedy}".splitlines():
            print(printable(line), file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _imported(command: str) -> Callable[[Any, Terminal], int]:
    """The command's function. Ctrl-C while it is being imported ends the process there and then: nothing has begun, and
    half an import has much to say when it is interrupted."""
    if threading.current_thread() is not threading.main_thread():
        return _command(command)
    before = signal.signal(signal.SIGINT, lambda *_: os._exit(EXIT_INTERRUPTED))
    try:
        return _command(command)
    finally:
        signal.signal(signal.SIGINT, before)


def _command(name: str) -> Callable[[Any, Terminal], int]:
    collecting = gc.isenabled()
    gc.disable()  # what is imported stays: to look again and again for what can be freed is a tenth of the work
    try:
        module = importlib.import_module(f"offhook.service.commands.{name.replace('-', '_')}")
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package == "offhook":
            raise
        extra = "server" if importlib.util.find_spec(_VOICE) or name not in _SPEAKING else "server,espeak"
        raise ExtraMissing(f"offhook {name}", extra=extra) from missing
    finally:
        if collecting:
            gc.enable()
    if name in _SPEAKING and importlib.util.find_spec(_VOICE) is None:
        raise ExtraMissing(f"offhook {name}", extra="espeak")
    run: Callable[[Any, Terminal], int] = module.run
    return run


def version() -> str:
    """The version of the installed package."""
    try:
        return importlib.metadata.version("offhook")
    except importlib.metadata.PackageNotFoundError:
        return "unknown (not installed)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="offhook", description="Software that answers the telephone.")
    parser.add_argument("--version", action="version", version=f"offhook {version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_demo, _add_dev, _add_chat, _add_call, _add_conformance, _add_serve, _add_kamailio_config):
        add(commands)
    for add in (_add_check, _add_models, _add_why, _add_replay):
        add(commands)
    return parser


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser("demo", help="everything embedded: a sample assistant and one spoken call to it")
    demo.add_argument("--folder", type=Path, default=Path(), help="where demo-call.wav and demo-call.jsonl are written")
    demo.add_argument("--once", action="store_true", help="end after the call instead of serving on")
    _add_listening(demo)
    demo.set_defaults(options=lambda a: DemoOptions(a.folder, a.once, tuple(a.sip or SIP_LISTEN), a.http))


def _add_dev(commands: Any) -> None:
    dev = commands.add_parser("dev", help="serve my app to real calls, and load it again when it changes")
    dev.add_argument("app", help=_APP_HELP)
    dev.add_argument("--no-reload", action="store_true", help="leave the app as it was at the start")
    dev.add_argument("--allow-from", action="append", default=[], metavar="NETWORK", help="take calls from there too")
    _add_listening(dev)
    _add_token(dev)
    _add_engines(dev)
    dev.set_defaults(
        options=lambda a: DevOptions(
            a.app,
            not a.no_reload,
            tuple(a.sip or SIP_LISTEN),
            a.http,
            tuple(a.allow_from),
            a.token,
            a.config,
            a.flow,
        )
    )


def _add_engines(command: argparse.ArgumentParser) -> None:
    which = "a settings file whose ears and voices are used; else the embedded ones"
    command.add_argument("-c", "--config", type=Path, metavar="FILE", help=which)
    command.add_argument("--flow", metavar="ID", help="as this flow of the file says; default: its first")


def _add_token(command: argparse.ArgumentParser) -> None:
    command.add_argument("--token", help="sent to the app at a URL as X-API-TOKEN")


def _add_listening(command: argparse.ArgumentParser) -> None:
    command.add_argument("--sip", action="append", metavar="ADDRESS", help=f"default: {' '.join(SIP_LISTEN)}")
    command.add_argument("--http", default=HTTP_LISTEN, metavar="ADDRESS", help="default: %(default)s")


def _add_chat(commands: Any) -> None:
    chat = commands.add_parser("chat", help="talk to my app in text, in the terminal; no audio, no server")
    chat.add_argument("app", help=_APP_HELP)
    chat.add_argument("--from", dest="caller", default="+4915123456789", help="my number, as the app sees it")
    chat.add_argument("--to", dest="called", default="+4921155660", help="the number I called, as the app sees it")
    _add_token(chat)
    chat.set_defaults(options=lambda a: ChatOptions(a.app, a.caller, a.called, a.token))


def _add_call(commands: Any) -> None:
    how_long = (
        "The caller hears the assistant out before each turn and before hanging up: up to 30 s until it speaks, "
        "up to 3 minutes while it does. Exit code 1: the app was given up, or a turn was not said."
    )
    call = commands.add_parser("call", help="one spoken call to my app, from files or from texts", epilog=how_long)
    call.add_argument("app", help=_APP_HELP)
    turn: dict[str, Any] = {"action": "append", "dest": "turns", "default": []}
    call.add_argument("--wav", type=Path, metavar="FILE", help="what I say; once for each of my turns", **turn)
    call.add_argument("--say", metavar="TEXT", help="the same, in the embedded voice; both may be mixed", **turn)
    call.add_argument("--record", type=Path, help="a WAV of the call: caller left, assistant right")
    call.add_argument("--log", type=Path, help="the call's log, for offhook replay")
    _add_token(call)
    _add_engines(call)
    call.set_defaults(options=lambda a: CallOptions(a.app, tuple(a.turns), a.record, a.log, a.token, a.config, a.flow))


def _add_conformance(commands: Any) -> None:
    check = commands.add_parser("conformance", help="play the contract at my running app, and say what it does wrong")
    check.add_argument("url", help="http://, https://, ws:// or wss://")
    check.add_argument("--signing-secret", metavar="SECRET", help="sign as the flow does; other signatures must fail")
    check.add_argument(
        "--only", action="append", default=[], metavar="RULE", help="a rule (C27), a decision (D17), a section (§3)"
    )
    check.add_argument("--time-limit", type=_above_0, default=5.0, metavar="SECONDS", help="default: %(default)g")
    check.add_argument("--calls", type=_count, default=50, metavar="N", help="how many at once; default: %(default)s")
    check.add_argument("--quiet", type=_above_0, default=0.3, metavar="SECONDS", help="default: %(default)g")
    check.add_argument("--junit", type=Path, metavar="FILE", help="write a report for CI, too")
    check.add_argument("--json", action="store_true", help="the report as JSON")
    _add_token(check)
    check.set_defaults(
        options=lambda a: ConformanceOptions(
            a.url, a.token, a.signing_secret, tuple(a.only), a.time_limit, a.calls, a.quiet, a.junit, a.json
        )
    )


def _above_0(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("give seconds above 0, at most 3600")
    return seconds


def _count(text: str) -> int:
    calls = int(text)
    if not 2 <= calls <= 1000:
        raise argparse.ArgumentTypeError("give a number from 2 to 1000")
    return calls


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser("serve", help="the service")
    _add_config(serve)
    _add_nodes(serve, 1)
    serve.add_argument("--without-kamailio", action="store_true", help="with --nodes: somebody else runs Kamailio")
    serve.add_argument("--node", type=int, help=argparse.SUPPRESS)
    serve.set_defaults(options=lambda a: ServeOptions(a.config, a.nodes, not a.without_kamailio, a.node))


def _add_nodes(command: argparse.ArgumentParser, default: int) -> None:
    numbers = range(1, MOST_NODES + 1)
    what = "nodes on this machine, behind Kamailio; default: %(default)s"
    command.add_argument("--nodes", type=int, choices=numbers, default=default, metavar="N", help=what)


def _add_kamailio_config(commands: Any) -> None:
    made = commands.add_parser("kamailio-config", help="what Kamailio is told when it stands before several nodes")
    _add_config(made)
    _add_nodes(made, 2)
    made.add_argument("--folder", type=Path, help="write both files there instead of printing them")
    made.set_defaults(options=lambda a: KamailioConfigOptions(a.config, a.nodes, a.folder))


def _add_check(commands: Any) -> None:
    check = commands.add_parser("check", help="try every setting, port, trunk, app and engine")
    _add_config(check)
    check.add_argument("--running", action="store_true", help="the service runs: leave its ports alone")
    check.set_defaults(options=lambda a: CheckOptions(a.config, not a.running))


def _add_models(commands: Any) -> None:
    models = commands.add_parser("models", help="models for ears and voices on this machine: list, pull")
    actions = models.add_subparsers(required=True, metavar="list|pull")
    listed = actions.add_parser("list", help="which ones are known, and which are here")
    pulled = actions.add_parser("pull", help="get them, checked; again after a break: the rest of them")
    pulled.add_argument("names", nargs="+", metavar="NAME")
    for action in (listed, pulled):
        action.add_argument("--folder", type=Path, help="default: speech.models of the settings")
        _add_config(action)
    listed.set_defaults(names=())
    models.set_defaults(options=lambda a: ModelsOptions(tuple(a.names), a.folder, a.config))


def _add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("-c", "--config", type=Path, default=Path("offhook.toml"), help="default: %(default)s")


def _add_why(commands: Any) -> None:
    why = commands.add_parser("why", help="explain a call: how it came, who ended it, what was refused or failed")
    which = why.add_mutually_exclusive_group()
    which.add_argument("call", nargs="?", help="its session id or the beginning of it, its SIP Call-ID, or its log")
    which.add_argument("--last", action="store_true", help="the call that was written to last")
    which.add_argument("--refused", action="store_true", help="what was refused before it became a call")
    why.add_argument("--logs", type=Path, metavar="FOLDER", help="default: as the settings say")
    _add_config(why)
    why.set_defaults(options=lambda a: WhyOptions(a.call, a.last, a.refused, a.config, a.logs))


def _add_replay(commands: Any) -> None:
    replay = commands.add_parser("replay", help="a recorded call again, against the core or a new version of my app")
    replay.add_argument("log", type=Path, help="the call's log (.jsonl)")
    replay.add_argument("app", nargs="?", help=_APP_HELP)
    replay.add_argument("--redact", type=Path, metavar="FILE", help="only write a copy without words and numbers")
    replay.add_argument(
        "--save", type=Path, metavar="FOLDER", help="write the call as a test of my app, or to a new .py"
    )
    replay.set_defaults(options=lambda a: ReplayOptions(a.log, a.app, a.redact, a.save))
