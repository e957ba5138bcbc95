"""The settings: one typed tree, frozen, with every default and what it is for.

`settings_file.load` fills it from a TOML file and the environment; `settings_reference` prints it as a page. A setting
that limits something names the metric that shows how near the limit is.
"""

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from offhook.service.media_stream_settings import MediaStream
from offhook.service.outbound_settings import FlowOutbound, Outbound
from offhook.service.setting_section import Section, limit
from offhook.service.setting_types import (
    Country,
    HostPort,
    Listed,
    ListenAddress,
    Network,
    PortRange,
    as_dns_server,
    as_host_port,
    as_listen_address,
    as_port_range,
    checked_app_url,
    checked_language,
    checked_number,
    checked_own_host,
    checked_transfer_target,
)
from offhook.service.speech_settings import Speech
from offhook.service.trunk_settings import Trunk
from offhook.service.user_settings import User

AppUrl: TypeAlias = Annotated[str, AfterValidator(checked_app_url)]
Number: TypeAlias = Annotated[str, AfterValidator(checked_number)]
Language: TypeAlias = Annotated[str, AfterValidator(checked_language)]
OwnHost: TypeAlias = Annotated[str, AfterValidator(checked_own_host)]
TransferTarget: TypeAlias = Annotated[str, AfterValidator(checked_transfer_target)]


class Http(Section):
    """The REST API, health and metrics."""

    listen: Annotated[HostPort, BeforeValidator(as_host_port)] = HostPort("127.0.0.1", 8080)
    """Host and port. It is plain HTTP: put a proxy with TLS in front before it leaves the machine."""
    keys: Listed[str] = Field(default=(), repr=False)
    """Bearer keys that may use the REST API. Without any, every request to it is answered with 401."""


class Sip(Section):
    """Where telephones and trunks reach the service."""

    listen: Listed[Annotated[ListenAddress, BeforeValidator(as_listen_address)]] = (
        ListenAddress("udp", "0.0.0.0", 5060),  # noqa: S104  # who may call is decided by allow_from and the trunks
        ListenAddress("tcp", "0.0.0.0", 5060),  # noqa: S104
    )
    """Addresses to take SIP on, `udp:host:port`, `tcp:host:port` or `tls:host:port`. None: no SIP."""
    tls_certificate: Path | None = None
    """PEM file with the certificate for `tls:` addresses, and those that signed it. A renewed file is taken without a
    restart, from the next connection on. It is also shown to servers that ask for one."""
    tls_key: Path | None = None
    """PEM file with its private key, without a password."""
    advertise: OwnHost | None = None
    """The address that others send to, when it is not the machine's own (NAT). None: the one a packet came to."""
    rtp_ports: Annotated[PortRange, BeforeValidator(as_port_range)] = PortRange(10000, 19999)
    """UDP ports for media, `first-last`; one call takes one even port."""
    codecs: Listed[Literal["opus", "G722", "PCMU", "PCMA"]] = Field(default=("G722", "PCMU", "PCMA"), min_length=1)
    """What calls may be spoken in. The first decides whether wideband (`G722`, by far better understood, at three times
    the work, or `opus`, more robust on bad lines, at five times, with libopus installed) or narrowband is preferred;
    among codecs of that width the caller's order counts."""
    srtp: Literal["off", "accept", "offer", "require"] = "accept"
    """Encrypted media (SRTP, keys by SDES): never, where the caller offers it, where we may offer it too, or nothing
    else. The keys are in the signalling: only TLS keeps them secret."""
    allow_from: Listed[Network] = ()
    """Networks that calls are taken from, beside this machine and the trunks (contract D42). `0.0.0.0/0`: all."""
    allow_this_machine: bool = True
    """Whether programs on this machine may call, from whichever of its addresses. Set it to false when a proxy here
    passes on calls from elsewhere, and make the proxy a trunk."""
    digest: Listed[Literal["SHA-256", "MD5"]] = Field(default=("MD5",), min_length=1)
    """How telephones that sign in (`[[user]]`) prove their password, best first. Many that are older give up when they
    see `SHA-256`, even beside `MD5`; without it a long random password matters more."""
    deny_from: Listed[Network] = ()
    """Networks that are never listened to or answered, whatever else allows them."""
    dns_servers: Listed[Annotated[HostPort, BeforeValidator(as_dns_server)]] = ()
    """DNS servers that trunks are looked up at (NAPTR, SRV, addresses), `address` or `address:port`. None: those of the
    machine."""


class Logging(Section):
    """The service's own log, on standard error. Callers' words appear at `debug` only."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lines below this level are left out."""
    format: Literal["auto", "json", "console"] = "auto"
    """`json` is one object a line; `auto` is `console` on a terminal, else `json`."""


class Limits(Section):
    """What the service takes on, and when it stops waiting."""

    max_calls: int = limit(500, metric="offhook_calls_refused_full_total", ge=1, le=2000)
    """Calls at the same time; more are refused with 503."""
    max_wideband_calls: int = limit(120, metric="offhook_media_wideband_rows_open", ge=0, le=2000)
    """Legs in G.722 or Opus at the same time, one of which costs about as much as three (Opus: five) in G.711. Then
    callers who offer G.711 get it; nobody is refused for this."""
    media_timeout_seconds: float = limit(60, metric="offhook_media_gone_total", ge=0, le=7200)
    """A call ends when its telephone is not on hold and has sent neither audio nor RTCP for so long: a dead one says no
    goodbye. 0: never."""
    source_requests_per_second: float = limit(50, metric="offhook_sip_refused_total", ge=1, le=10000)
    """SIP requests that begin something (a call, OPTIONS, REGISTER …), of one address that may call; ten seconds' worth
    at once. More are refused with 503, then dropped."""
    trunk_requests_per_second: float = limit(200, metric="offhook_sip_refused_total", ge=1, le=10000)
    """The same, of one address of a trunk."""
    stranger_requests_per_second: float = limit(1, metric="offhook_sip_refused_total", ge=0, le=1000)
    """SIP requests of one address that may not call, which are refused with 403; more are dropped unread. All such
    addresses together have 25 times as much. 0: nobody is told anything."""
    retry_after_seconds: int = Field(default=5, ge=0, le=3600)
    """What a refused caller is told to wait before another attempt."""
    drain_seconds: float = limit(60, metric="offhook_calls_in_progress", ge=0, le=7200)
    """How long calls in progress may go on after SIGTERM."""
    farewell_seconds: float = limit(8, metric="offhook_calls_in_progress", ge=0, le=60)
    """How long the spoken farewell and the goodbyes of the last calls may take, after that."""
    prompt_networks: Listed[Network] = ()
    """Networks beside the public internet that prompts (`audio_url`) may be fetched from (contract D16)."""


class Nodes(Section):
    """Several nodes on this machine behind one SIP address (`offhook serve --nodes`)."""

    first_port: int = Field(default=15060, ge=1024, le=65000)
    """A port on loopback where Kamailio and the nodes speak with each other; node 1 has the next one, by UDP and TCP,
    and so on."""


class Storage(Section):
    """What is kept on disk."""

    call_logs: Path | None = Path("call-logs")
    """Folder with one file a call, holding what was said (contract D43). An empty text: none are kept."""
    keep_days: int = limit(30, metric="offhook_call_logs_deleted_total", ge=1, le=3650)
    """Call logs older than this are deleted."""


class FallbackSettings(Section):
    """What a caller gets when the app is lost (contract D26): the second app, else a transfer, else the apology."""

    url: AppUrl | None = None
    """A second app."""
    apology: str = "Sorry, something went wrong. Please call again later."
    """Spoken before the call is ended."""
    transfer_to: TransferTarget | None = None
    """A number that takes over."""


class BargeInSettings(Section):
    """When callers may interrupt, unless an action says otherwise (contract section 4)."""

    strategy: Literal["none", "manual", "minimum_characters", "immediate"] = "minimum_characters"
    """`none`, `manual`, `minimum_characters` or `immediate`."""
    minimum_characters: int = Field(default=3, ge=1, le=100)
    """For `minimum_characters`: how many characters must have been recognised."""
    allow_after_ms: int = Field(default=0, ge=0, le=10000)
    """Not before this much of an utterance has been heard (contract D18)."""


class FlowSpeech(Section):
    """A flow's ear and voice."""

    transcriber: Listed[str] = Field(default=("pocketsphinx",), min_length=1)
    """The ears, engines or aliases, in the order in which they are tried; the embedded one is always the last."""
    synthesizer: Listed[str] = Field(default=("espeak",), min_length=1)
    """The voices in the order in which they are tried; the embedded one is always the last (contract D10)."""
    language: Language | None = None
    """BCP-47, for ear and voice, unless an action says otherwise. None: the engines' own."""
    voice: str | None = None
    """The voice, unless an action names one. None: the engine's own for the language."""
    custom_vocabulary: Listed[str] = Field(default=(), max_length=100)
    """Words and phrases that the ear shall expect, until an action configures recognition anew (contract D13)."""


class Flow(Section):
    """One assistant: its app and its numbers."""

    id: str = Field(min_length=1)
    """Its name, in logs, events and the REST API."""
    account_id: str = "local"
    """Sent as `account_id` in every event."""
    app: AppUrl
    """The app: `http://`, `https://` (webhook), `ws://` or `wss://`."""
    token: str | None = Field(default=None, repr=False)
    """Sent as `X-API-TOKEN`."""
    signing_secret: str | None = Field(default=None, repr=False)
    """Signs every request as Standard Webhooks does (`whsec_…`). None: unsigned."""
    numbers: Listed[Number] = ()
    """Numbers or SIP names that reach it: `+49…`, `0211…` with `default_country`, `alice`. `*`: every other (D41)."""
    number_format: Literal["e164", "digits"] = "e164"
    """Numbers in events with (`e164`) or without (`digits`) the leading `+` (contract D2)."""
    default_country: Country | None = None
    """Two letters, ISO 3166: how numbers in national form are read."""
    trunk: str | None = None
    """The trunk that it dials by. None: the one that the caller came by, else the first one that can dial."""
    answer_after_seconds: float = Field(default=0, ge=0, le=120)
    """How long it rings (contract D36)."""
    ring_seconds: float = Field(default=60, ge=5, le=300)
    """How long a call that it places may ring, and a transfer without `timeout` (contract D15)."""
    transfer_loop: Path | None = None
    """A WAV file that a caller hears while a transfer rings. None: the ringing tone of `default_country`."""
    max_call_seconds: float = Field(default=7200, ge=1, le=86400)
    """The call ends after this, with a spoken notice (contract D37)."""
    time_limit_notice: str = "This call has reached its time limit. Goodbye."
    """That notice."""
    answer_within_seconds: float = Field(default=5, ge=0.1, le=60)
    """Time limit of each answer of the app (contract D26)."""
    connect_within_seconds: float = Field(default=5, ge=0.1, le=60)
    """Time limit of the connection to the app (contract D30)."""
    end_of_turn_silence_ms: int = Field(default=600, ge=150, le=2000)
    """Silence that ends a caller's turn (contract D14, D40)."""
    report_spoken_text: bool = False
    """Adds `spoken_text` to `assistant_speech_ended` (contract D5)."""
    report_language: bool = False
    """Adds `language` to `user_speak` (contract D5)."""
    report_words: bool = False
    """Adds `confidence` and `words` to `user_speak` (contract D5)."""
    barge_in: BargeInSettings = BargeInSettings()
    speech: FlowSpeech = FlowSpeech()
    fallback: FallbackSettings = FallbackSettings()
    outbound: FlowOutbound = FlowOutbound()

    @property
    def speaks_websocket(self) -> bool:
        """Whether the app is on a WebSocket, which decides on `user_speech_started` (contract section 2)."""
        return self.app.startswith(("ws://", "wss://"))


class Settings(Section):
    """The whole tree. `trunks`, `users` and `flows` are `[[trunk]]`, `[[user]]` and `[[flow]]` in the file."""

    http: Http = Http()
    sip: Sip = Sip()
    media_stream: MediaStream = MediaStream()
    speech: Speech = Speech()
    logging: Logging = Logging()
    limits: Limits = Limits()
    outbound: Outbound = Outbound()
    nodes: Nodes = Nodes()
    storage: Storage = Storage()
    trunks: tuple[Trunk, ...] = Field(default=(), alias="trunk")
    users: tuple[User, ...] = Field(default=(), alias="user")
    flows: tuple[Flow, ...] = Field(default=(), alias="flow")
