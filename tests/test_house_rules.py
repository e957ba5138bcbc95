"""The house rules that a program can check: who may import whom, what is never called, names and sizes.

Each rule is a function from one source file to what breaks it; every broken rule is said with its remedy. To change a
rule, change the table here and ARCHITECTURE.md with it.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1] / "src" / "offhook"
LONGEST_FILE = 450
LONGEST_FUNCTION = 70

# --- who may import whom


@dataclass(frozen=True)
class Room:
    """What a room may import: other rooms or single files of them (`inside`), packages (`outside`), packages in certain
    files only (`files`: a file's or a folder's path within the room), and of the standard library all, all but `never`,
    or nothing but `only`. What it imports inside functions only is in `lazily`."""

    inside: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    never: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    lazily: tuple[str, ...] = ()


I_O = ("asyncio", "socket", "ssl", "subprocess", "threading", "multiprocessing", "http", "urllib.request", "time")
INTERFACES = (
    "speech.transcriber",
    "speech.synthesizer",
    "transports.call_leg",
    "app_links.app_link",
)

ROOMS: dict[str, Room] = {
    "protocol": Room(outside=("pydantic", "pydantic_core"), never=I_O),
    "sdk": Room(
        inside=("protocol",),
        outside=("pydantic",),
        files={
            "websocket.py": ("websockets",),
            "redis_states.py": ("redis",),
            "debug_printer.py": ("rich",),
            "flask_blueprint.py": ("flask",),
            "django_view.py": ("django",),
            "aiohttp_handler.py": ("aiohttp",),
        },
    ),
    "conversation": Room(
        inside=("protocol",),
        only=("collections", "dataclasses", "enum", "typing", "types", "math", "itertools", "functools"),
        files={
            # The core as text and as records: no part of a call.
            "record.py": ("hashlib", "json"),
            "transcript.py": ("json",),
            "fact_lines.py": ("json", "re"),
            "order_lines.py": ("json",),
        },
    ),
    "media": Room(
        inside=("audio",), outside=("numpy", "pylibsrtp"), never=("asyncio", "json"), files={"g722.py": ("G722",)}
    ),
    "audio": Room(outside=("numpy", "soundfile", "soxr"), never=I_O),
    "speech": Room(
        inside=("protocol", "audio"),
        outside=("aiohttp", "numpy"),
        files={
            "espeak_process.py": ("espeakng_loader",),
            "onnx_asr_process.py": ("onnx_asr", "onnxruntime"),
            "piper_process.py": ("onnxruntime", "piper"),
            "sherpa_process.py": ("sherpa_onnx",),
            "sphinx_turn.py": ("pocketsphinx",),
            "vosk_process.py": ("vosk",),
        },
    ),
    "transports": Room(
        inside=("media.messages", "audio"),
        outside=("structlog",),
        files={
            "media_stream/": ("aiohttp", "cryptography", "orjson", "uvloop"),
            "sip/": ("sipmessage",),
            "sip/server_location.py": ("dns",),
            "simulator/": ("numpy",),
        },
    ),
    "app_links": Room(inside=("protocol",), outside=("aiohttp", "structlog", "yarl")),
    "calls": Room(
        inside=("protocol", "conversation", "media", "audio", *INTERFACES),
        outside=("structlog", "numpy"),
        files={"call_log.py": ("orjson",)},
    ),
    "control": Room(inside=("protocol", "calls"), outside=("fastapi",)),
    "testing": Room(inside=("sdk", "protocol", "conversation"), outside=("pytest",), lazily=("service",)),
    "service": Room(
        inside=("protocol", "sdk", "conversation", "media", "audio", "calls", "control", *INTERFACES, "testing"),
        outside=(
            "aiohttp",
            "annotated_types",
            "numpy",
            "pydantic",
            "pydantic_core",
            "structlog",
            "uvicorn",
            "uvloop",
            "yarl",
        ),
        files={
            "wiring.py": ("offhook.transports", "offhook.app_links"),
            "speech_engines.py": ("offhook.speech",),
            "speech_metrics.py": ("offhook.speech.engine_health",),
            # Asking whoever is behind an engine is what this is for.
            "vendor_checks.py": (
                "offhook.speech.engine_health",
                "offhook.speech.provider_trouble",
                "offhook.speech.speech_cache",
                "offhook.speech.speech_clock",
                "offhook.speech.vendor_client",
                "offhook.speech.vendor_engine",
            ),
            "numbers.py": ("phonenumbers",),
            "special_ranges.py": ("phonenumbers",),
            # Asking where trunks are is what this is for.
            "sip_servers.py": ("offhook.transports.sip",),
            # Where one of several nodes is, SIP's proxy must know.
            "node_place.py": ("offhook.transports.sip.front_proxy",),
            # Placing calls is what these are for: the simulator is their tool, not a choice.
            "spoken_call.py": ("offhook.transports.simulator",),
            "practice_target.py": ("offhook.transports.simulator",),
            "phone_line.py": ("offhook.transports.simulator",),
            "commands/call.py": ("offhook.transports.simulator",),
            "commands/demo.py": ("offhook.transports.simulator",),
        },
    ),
    # The files beside the rooms.
    "": Room(inside=("protocol", "sdk", "service.commands.options", "service.commands.terminal", "cli")),
}
CHOOSES_CONCRETE_CLASSES = "wiring.py and service/speech_engines.py"
# Implementations of one interface: none imports another.
SIBLINGS = (
    "offhook.transports",
    "offhook.speech.transcribers",
    "offhook.speech.synthesizers",
)
SIBLING_FILES = (("offhook.app_links.webhook", "offhook.app_links.websocket"),)

# --- what is never called, and where it is after all

CLOCKS = (
    "media/clock.py",
    "sdk/clock.py",
    "calls/heartbeat.py",
    "transports/sip/listener.py",
    "transports/media_stream/listener.py",
    "transports/media_stream/edge_server.py",
    "transports/media_stream/edge_stream.py",
    "transports/sip/server_location.py",
    "transports/sip/streams.py",
    "app_links/link_clock.py",
    "speech/scripted_delay.py",  # in the place of a vendor's network
    "speech/speech_clock.py",
    "testing/conformance/wire_clock.py",
    "control/",
    "service/",
)
NEVER_CALLED: dict[str, tuple[tuple[str, ...], str]] = {
    "time": (CLOCKS, "Take `now` as an argument; the heartbeat and the network edges know what time it is."),
    "asyncio.sleep": (CLOCKS, "Give the machine a next_deadline and let its edge wait."),
    "call_later": (CLOCKS, "Give the machine a next_deadline and let its edge wait."),
    "call_at": (CLOCKS, "Give the machine a next_deadline and let its edge wait."),
    "loop.time": (CLOCKS, "Take `now` as an argument."),
    "threading.Timer": ((), "Give the machine a next_deadline and let its edge wait."),
    "asyncio.create_task": ((), "Every task has a parent: use a TaskGroup."),
    "asyncio.ensure_future": ((), "Every task has a parent: use a TaskGroup."),
    "loop.create_task": ((), "Every task has a parent: use a TaskGroup."),
    "print": (("cli.py",), "Log an event, or write to the command's Terminal."),
}
# The call's outer wall; the wall around the code of the app's developer (contract D33); and the one around what an
# engine does beside calls, so that a mistake in a vendor's connector costs a turn and not the service.
CATCH_EVERYTHING = ("calls/live_call.py", "sdk/assistant.py", "service/app_server.py", "speech/engine_tasks.py")
NAMES_THAT_OWN_NOTHING = {"util", "utils", "helper", "helpers", "common", "base", "manager", "managers", "misc"}


@dataclass(frozen=True)
class Source:
    """One file: its path below src/offhook, its text, and its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.path.partition("/")[0] if "/" in self.path else ""

    @property
    def module(self) -> str:
        name = self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return "offhook" if name == "__init__" else f"offhook.{name}"

    def lies_in(self, places: tuple[str, ...]) -> bool:
        return any(self.path == place or (place.endswith("/") and self.path.startswith(place)) for place in places)


@dataclass(frozen=True)
class Broken:
    """A rule broken in one line."""

    source: Source
    line: int
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"src/offhook/{self.source.path}:{self.line}: {self.what} {self.remedy}"


@dataclass(frozen=True)
class Import:
    """One imported module, and whether it is imported inside a function."""

    module: str
    line: int
    lazy: bool


def source(path: str, text: str) -> Source:
    return Source(path, text, ast.parse(text))


@cache
def the_house() -> list[Source]:
    return [
        source(str(file.relative_to(HOUSE)), file.read_text(encoding="utf-8")) for file in sorted(HOUSE.rglob("*.py"))
    ]


# --- imports


def imports(file: Source) -> Iterator[Import]:
    """Every import; of `from offhook.room import name` the name too, when it is a module of the house."""
    functions = [n for n in ast.walk(file.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    found: dict[Import, None] = {}
    for node in ast.walk(file.tree):
        lazy = id(node) in inside
        if isinstance(node, ast.Import):
            found |= {Import(alias.name, node.lineno, lazy): None for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found[Import(full if is_module(full) else node.module, node.lineno, lazy)] = None
    yield from found


def is_module(name: str) -> bool:
    if not name.startswith("offhook."):
        return False
    place = HOUSE.joinpath(*name.split(".")[1:])
    return place.is_dir() or place.with_suffix(".py").exists()


def within(module: str, parent: str) -> bool:
    return module == parent or module.startswith(f"{parent}.")


def forbidden_imports(file: Source) -> Iterator[Broken]:
    room = ROOMS.get(file.room)
    if room is None:
        yield Broken(file, 1, f"'{file.room}' is no room.", "Give it a row in ROOMS and in ARCHITECTURE.md.")
        return
    path = file.path.partition("/")[2] if file.room else file.path
    more = [name for place, names in room.files.items() for name in names if path == place or path.startswith(place)]
    for found in imports(file):
        top = found.module.partition(".")[0]
        if top == "offhook":
            yield from _forbidden_inside(file, room, found, more)
        elif top not in sys.stdlib_module_names:
            if top not in {*room.outside, *more}:
                remedy = "Bring it in through the room that owns it, or give it a row in ROOMS with a reason."
                yield Broken(file, found.line, f"{file.room or 'this file'} must not import {found.module}.", remedy)
        elif any(within(found.module, name) for name in room.never) and not _is_clock(file, top):
            remedy = "Let the room that owns this do it, and take the result as a value."
            yield Broken(file, found.line, f"{file.room} never imports {found.module}.", remedy)
        elif room.only is not None and top not in {*room.only, *more}:
            remedy = f"It may use {', '.join(room.only)} of the standard library: the core has no hands."
            yield Broken(file, found.line, f"{file.room} must not import {found.module}.", remedy)


def _is_clock(file: Source, module: str) -> bool:
    return module == "time" and file.lies_in(CLOCKS)


def _forbidden_inside(file: Source, room: Room, found: Import, more: list[str]) -> Iterator[Broken]:
    # The package's own name stands for the SDK's public names.
    name = "sdk" if found.module == "offhook" else found.module.removeprefix("offhook.")
    own = bool(file.room) and within(name, file.room)
    allowed = (
        *room.inside,
        "errors",
        *(m.removeprefix("offhook.") for m in more),
        *(room.lazily if found.lazy else ()),
    )
    if not own and not any(within(name, place) for place in allowed):
        remedy = f"It may enter {', '.join(room.inside) or 'no other room'}; take what you need as an argument."
        if file.room == "service":
            remedy = f"Concrete classes are chosen in service/{CHOOSES_CONCRETE_CLASSES} only."
        yield Broken(file, found.line, f"{file.room or file.path} must not import {found.module}.", remedy)


def imported_siblings(file: Source) -> Iterator[Broken]:
    remedy = "Move what both need beside the interface, or let the caller hand it over."
    for parent in SIBLINGS:
        if not file.module.startswith(f"{parent}."):
            continue
        own = file.module.removeprefix(f"{parent}.").partition(".")[0]
        for found in imports(file):
            other = found.module.removeprefix(f"{parent}.").partition(".")[0]
            is_folder = (HOUSE / parent.removeprefix("offhook.").replace(".", "/") / other).is_dir()
            is_sibling = found.module.startswith(f"{parent}.") and other != own
            if is_sibling and (is_folder or parent != "offhook.transports"):
                yield Broken(file, found.line, f"{own} must not import its sibling {other}.", remedy)
    for group in SIBLING_FILES:
        if file.module in group:
            for found in imports(file):
                if found.module != file.module and found.module in group:
                    yield Broken(file, found.line, f"It must not import its sibling {found.module}.", remedy)


# --- calls


def dotted(node: ast.expr, aliases: dict[str, str]) -> str:
    """`time.sleep` for itself, `sleep` after `from time import sleep` and for `t.sleep` after `import time as t`;
    `loop.x` for any x of an event loop."""
    match node:
        case ast.Name(id=name):
            return aliases.get(name, name)
        case ast.Attribute(value=value, attr=attribute):
            owner = dotted(value, aliases)
            is_loop = owner.rpartition(".")[2].strip("_") == "loop" or owner.endswith("get_running_loop()")
            return f"{'loop' if is_loop else owner}.{attribute}"
        case ast.Call(func=function):
            return f"{dotted(function, aliases)}()"
        case _:
            return ""


def forbidden_calls(file: Source) -> Iterator[Broken]:
    aliases: dict[str, str] = {}
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Import):
            aliases |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(file.tree):
        # Not only calls: a function that is passed on is called by somebody.
        if not isinstance(node, ast.Attribute | ast.Name):
            continue
        name = dotted(node, aliases)
        for never, (places, remedy) in NEVER_CALLED.items():
            if _is_call_of(name, never) and not file.lies_in(places):
                yield Broken(file, node.lineno, f"{name} is not used here.", remedy)


def _is_call_of(name: str, never: str) -> bool:
    if never == "time":
        return name.startswith("time.")
    if never in {"call_later", "call_at"}:
        return name.endswith(f".{never}")
    return name == never


def catches_everything(file: Source) -> Iterator[Broken]:
    remedy = "Name what can happen and turn it into an OffhookError with a remedy, where the foreign code ends."
    for node in ast.walk(file.tree):
        caught: list[ast.expr | None] = []
        if isinstance(node, ast.ExceptHandler):
            caught = list(node.type.elts) if isinstance(node.type, ast.Tuple) else [node.type]
        elif isinstance(node, ast.Call) and dotted(node.func, {}).endswith("suppress"):
            caught = list(node.args)
        for name in caught:
            is_all = name is None or (isinstance(name, ast.Name) and name.id in {"Exception", "BaseException"})
            if is_all and not file.lies_in(CATCH_EVERYTHING):
                yield Broken(file, getattr(node, "lineno", 1), "Everything is caught here.", remedy)


# --- names, sizes, words


def empty_names(file: Source) -> Iterator[Broken]:
    for part in file.path.removesuffix(".py").split("/"):
        if part.strip("_") in NAMES_THAT_OWN_NOTHING:
            yield Broken(
                file, 1, f"The name '{part}' owns nothing.", "Name it for what it owns, or move it to its owner."
            )


def too_long(file: Source) -> Iterator[Broken]:
    lines = len(file.text.splitlines())
    if lines > LONGEST_FILE:
        yield Broken(file, lines, f"The file has {lines} lines; {LONGEST_FILE} are the most.", "Cut it by owner.")
    functions = [n for n in ast.walk(file.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        within_it = [n for n in ast.walk(function) if n in functions and n is not function]
        # Functions inside a function count by themselves.
        inner = {line for n in within_it for line in range(n.lineno, (n.end_lineno or n.lineno) + 1)}
        length = len(set(range(function.lineno, (function.end_lineno or 0) + 1)) - inner)
        if length > LONGEST_FUNCTION:
            what = f"{function.name} has {length} lines; {LONGEST_FUNCTION} are the most."
            yield Broken(file, function.lineno, what, "Cut it where it changes its subject.")


def unfinished(file: Source) -> Iterator[Broken]:
    for number, line in enumerate(file.text.splitlines(), 1):
        if any(f"# {word}" in line for word in ("TODO", "FIXME", "XXX", "HACK")):
            yield Broken(file, number, "Something is unfinished here.", "Finish it, or write an issue.")


def rooms_without_a_sign(file: Source) -> Iterator[Broken]:
    if not file.path.endswith("__init__.py") or not file.room:
        return
    sign = (ast.get_docstring(file.tree) or "").lower()
    if not sign:
        yield Broken(file, 1, "This folder does not say what it owns.", "Open its __init__.py with a docstring.")
    elif file.path.count("/") == 1:
        for word, what in (
            ("enter", "who may enter"),
            ("never", "what never happens here"),
            ("first", "where to begin"),
        ):
            if word not in sign:
                yield Broken(
                    file, 1, f"The room's docstring does not say {what}.", f"Write it, with the word '{word}'."
                )


RULES: tuple[Callable[[Source], Iterator[Broken]], ...] = (
    forbidden_imports,
    imported_siblings,
    forbidden_calls,
    catches_everything,
    empty_names,
    too_long,
    unfinished,
    rooms_without_a_sign,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rules(rule: Callable[[Source], Iterator[Broken]]) -> None:
    broken = [str(found) for file in the_house() for found in rule(file)]
    assert not broken, "\n" + "\n".join(broken)


def test_every_folder_has_a_sign() -> None:
    folders = {file.parent for file in HOUSE.rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


# --- the rules can fail

PLANTED = [
    (forbidden_imports, "protocol/x.py", "import asyncio"),
    (forbidden_imports, "protocol/x.py", "import aiohttp"),
    (forbidden_imports, "protocol/x.py", "import time"),
    (forbidden_imports, "sdk/x.py", "from offhook.conversation import inputs"),
    (forbidden_imports, "sdk/x.py", "import starlette"),
    (forbidden_imports, "conversation/x.py", "import logging"),
    (forbidden_imports, "conversation/x.py", "from time import monotonic"),
    (forbidden_imports, "conversation/x.py", "import uuid"),
    (forbidden_imports, "conversation/x.py", "from offhook.media.messages import Report"),
    (forbidden_imports, "conversation/conversation.py", "import json"),
    (forbidden_imports, "media/x.py", "import asyncio"),
    (forbidden_imports, "media/x.py", "from offhook.protocol import actions"),
    (forbidden_imports, "audio/x.py", "from offhook.media import rtp"),
    (forbidden_imports, "speech/x.py", "import pocketsphinx"),
    (forbidden_imports, "speech/x.py", "from offhook.transports import call_leg"),
    (forbidden_imports, "transports/x.py", "from offhook.media import rtp"),
    (forbidden_imports, "transports/simulator/x.py", "import sipmessage"),
    (forbidden_imports, "app_links/x.py", "from offhook.conversation import inputs"),
    (forbidden_imports, "calls/x.py", "from offhook.transports.sip import listener"),
    (forbidden_imports, "calls/x.py", "from offhook.app_links.webhook import WebhookLink"),
    (forbidden_imports, "calls/x.py", "from offhook.service import settings"),
    (forbidden_imports, "control/x.py", "from offhook.conversation import inputs"),
    (forbidden_imports, "control/x.py", "import uvicorn"),
    (forbidden_imports, "testing/x.py", "from offhook.service import wiring"),
    (forbidden_imports, "service/x.py", "from offhook.speech.transcribers.scripted import ScriptedTranscriber"),
    (forbidden_imports, "service/x.py", "def f():\n    from offhook.transports.sip.listener import SipListener"),
    (forbidden_imports, "cellar/x.py", ""),
    (forbidden_imports, "x.py", "from offhook.calls import live_call"),
    (imported_siblings, "transports/sip/x.py", "from offhook.transports.simulator import leg"),
    (imported_siblings, "speech/transcribers/scripted.py", "import offhook.speech.transcribers.pocketsphinx"),
    (imported_siblings, "app_links/webhook.py", "from offhook.app_links.websocket import WebSocketLink"),
    (forbidden_calls, "calls/x.py", "import time\ntime.monotonic()"),
    (forbidden_calls, "calls/x.py", "from time import monotonic as now\nnow()"),
    (forbidden_calls, "calls/x.py", "import time as t\nclock = t.time"),
    (forbidden_calls, "calls/x.py", "import asyncio\nasync def f(): await asyncio.sleep(1)"),
    (forbidden_calls, "calls/x.py", "from asyncio import sleep\nasync def f(): await sleep(1)"),
    (forbidden_calls, "calls/x.py", "def f(loop): loop.call_later(1, f)"),
    (forbidden_calls, "calls/x.py", "import asyncio\nasyncio.get_running_loop().call_at(1, f)"),
    (forbidden_calls, "calls/x.py", "import asyncio\nasyncio.get_running_loop().time()"),
    (forbidden_calls, "calls/x.py", "class A:\n    def f(self): return self._loop.time()"),
    (forbidden_calls, "service/x.py", "import asyncio\nasyncio.create_task(f())"),
    (forbidden_calls, "service/x.py", "from asyncio import ensure_future\nensure_future(f())"),
    (forbidden_calls, "service/x.py", "def f(loop): loop.create_task(f())"),
    (forbidden_calls, "service/x.py", "print('hello')"),
    (catches_everything, "service/x.py", "try: f()\nexcept Exception: pass"),
    (catches_everything, "service/x.py", "try: f()\nexcept (OSError, BaseException): pass"),
    (catches_everything, "service/x.py", "try: f()\nexcept: pass"),
    (catches_everything, "service/x.py", "try: f()\nexcept* Exception: pass"),
    (catches_everything, "service/x.py", "import contextlib\nwith contextlib.suppress(Exception): f()"),
    (empty_names, "service/utils.py", ""),
    (empty_names, "speech/common/x.py", ""),
    (empty_names, "service/_base.py", ""),
    (too_long, "service/x.py", "\n" * (LONGEST_FILE + 1)),
    (too_long, "service/x.py", "def f():\n" + "    x = 1\n" * LONGEST_FUNCTION),
    (unfinished, "service/x.py", "x = 1  # TO" + "DO: two"),
    (rooms_without_a_sign, "speech/transcribers/__init__.py", ""),
    (rooms_without_a_sign, "speech/__init__.py", '"""Owns ears. Who may enter: all. Read x first."""'),
]

FINE = [
    (
        forbidden_imports,
        "protocol/x.py",
        "import json\nfrom pydantic import BaseModel\nfrom offhook.errors import OffhookError",
    ),
    (forbidden_imports, "calls/x.py", "import asyncio\nfrom offhook.transports.call_leg import CallLeg"),
    (forbidden_imports, "testing/x.py", "def f():\n    from offhook.service import wiring"),
    (forbidden_imports, "service/wiring.py", "from offhook.transports.sip.listener import SipListener"),
    (forbidden_imports, "media/clock.py", "import time"),
    (
        imported_siblings,
        "transports/sip/x.py",
        "from offhook.transports.call_leg import CallLeg\nimport offhook.transports.sip.leg",
    ),
    (forbidden_calls, "media/clock.py", "import time\ntime.sleep(1)"),
    (forbidden_calls, "calls/x.py", "async def f(tasks): tasks.create_task(g())"),
    (forbidden_calls, "calls/x.py", "x.time = 1\nprint_all = 2"),
    (forbidden_calls, "cli.py", "print('hello')"),
    (catches_everything, "calls/live_call.py", "try: f()\nexcept Exception: pass"),
    (catches_everything, "service/x.py", "try: f()\nexcept (OSError, ValueError): pass"),
]


@pytest.mark.parametrize(("rule", "path", "text"), PLANTED)
def test_a_planted_mistake_is_found(rule: Callable[[Source], Iterator[Broken]], path: str, text: str) -> None:
    broken = list(rule(source(path, text)))
    assert broken
    assert all(found.remedy for found in broken)


@pytest.mark.parametrize(("rule", "path", "text"), FINE)
def test_what_is_allowed_is_not_reported(rule: Callable[[Source], Iterator[Broken]], path: str, text: str) -> None:
    assert not list(rule(source(path, text)))
