"""What each command was asked to do, parsed. Nothing here needs more than the SDK."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """`offhook demo`: `folder` is where demo-call.wav and demo-call.jsonl go; `once` ends it after the spoken call.
    `sip` and `http` are where it listens afterwards, `udp:host:port` and `host:port`."""

    folder: Path
    once: bool
    sip: tuple[str, ...]
    http: str


@dataclass(frozen=True, slots=True)
class DevOptions:
    """`offhook dev`: `app` is a file, a module or a URL; `reload` loads a file again when it or its folder changes;
    `token` goes to an app at a URL as X-API-TOKEN, here and in `offhook call`. `config` is a file whose ears and voices
    are used, as its flow `flow` says (None: the first); in `offhook call` too."""

    app: str
    reload: bool
    sip: tuple[str, ...]
    http: str
    allow_from: tuple[str, ...]
    token: str | None = None
    config: Path | None = None
    flow: str | None = None


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """`offhook chat`: both numbers as the app sees them; `token` goes to a webhook as X-API-TOKEN."""

    app: str
    caller: str
    called: str
    token: str | None = None


@dataclass(frozen=True, slots=True)
class CallOptions:
    """`offhook call`: each of the caller's turns is a WAV file (Path) or a text for the embedded voice (str). `record`
    gets both sides (caller left), `log` the call's log."""

    app: str
    turns: tuple[Path | str, ...]
    record: Path | None
    log: Path | None
    token: str | None = None
    config: Path | None = None
    flow: str | None = None


@dataclass(frozen=True, slots=True)
class ConformanceOptions:
    """`offhook conformance`: the app at `url`, with `token` as X-API-TOKEN and `signing_secret` for signatures. `only`
    rules, decisions or sections; `time_limit` in seconds for an event; `calls` at once; `quiet_seconds` of a WebSocket,
    after which nothing more is expected; a report to `junit`, or as `json` instead of text."""

    url: str
    token: str | None = None
    signing_secret: str | None = None
    only: tuple[str, ...] = ()
    time_limit: float = 5.0
    calls: int = 50
    quiet_seconds: float = 0.3
    junit: Path | None = None
    json: bool = False


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """`offhook serve`: with the settings of this file. `nodes`: how many of it stand behind Kamailio, which is started
    too unless `kamailio` is False; 1: none does. `node`: it is this one of them, from 1 on."""

    config: Path
    nodes: int = 1
    kamailio: bool = True
    node: int | None = None


@dataclass(frozen=True, slots=True)
class KamailioConfigOptions:
    """`offhook kamailio-config`: for the settings of this file and so many nodes; into `folder`, or printed."""

    config: Path
    nodes: int
    folder: Path | None


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """`offhook check`: the settings of this file. `bind` also tries the ports, which a running service holds."""

    config: Path
    bind: bool


@dataclass(frozen=True, slots=True)
class ModelsOptions:
    """`offhook models`: get those that are named, or list them all for none; into `folder`, else where the settings of
    `config` say."""

    names: tuple[str, ...]
    folder: Path | None
    config: Path


@dataclass(frozen=True, slots=True)
class WhyOptions:
    """`offhook why`: a `call` by its session id (or the beginning of it), its Call-ID or its log; or the `last` one; or
    what was `refused`. Logs are in `logs`, else where the settings of `config` say."""

    call: str | None
    last: bool
    refused: bool
    config: Path
    logs: Path | None


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """`offhook replay`: a call's log; against `app` when given, else against the core; or a copy of it, written to
    `redact`, without words and numbers. `save` gets the call as a test of the app: a folder, or a new file."""

    log: Path
    app: str | None
    redact: Path | None = None
    save: Path | None = None
