"""`offhook check`: everything that the settings name is tried, and each failure comes with its remedy."""

import asyncio
import contextlib
import importlib.util
import resource
import socket
import ssl
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from offhook.errors import ExtraMissing, OffhookError, SettingsInvalid
from offhook.media import opus
from offhook.media.messages import Codec
from offhook.service.allowed_sources import trunk_networks
from offhook.service.commands.options import CheckOptions
from offhook.service.commands.terminal import Terminal
from offhook.service.engine_names import engine_named
from offhook.service.http_server import bound
from offhook.service.media_stream_settings import MediaStreamAccount
from offhook.service.outbound_mistakes import doubts as about_outbound_calls
from offhook.service.setting_types import HostPort, SipDomain
from offhook.service.settings import Flow, Settings, Sip
from offhook.service.settings_file import load
from offhook.service.sip_servers import own_certificate, servers_of
from offhook.service.speech_engines import ears_of
from offhook.service.speech_settings import EMBEDDED_EAR
from offhook.service.spoken_codecs import without_library
from offhook.service.trunk_settings import Trunk
from offhook.service.vendor_checks import ask_vendors

# Each engine's library, and the extra that brings it.
LIBRARIES: Final = {"pocketsphinx": ("pocketsphinx", "server"), "espeak": ("espeakng_loader", "espeak")}
# One call: its two media sockets, its app's connection, the leg's own share of a listener, and some air.
FILES_PER_CALL: Final = 5
FILES_BESIDE: Final = 200
RENEW_BEFORE: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of trying one thing; `remedy` only when it failed, or, with `is_hint`, when it is worth a thought."""

    what: str
    said: str
    remedy: str | None = None
    is_hint: bool = False

    @property
    def failed(self) -> bool:
        return self.remedy is not None and not self.is_hint


def run(options: CheckOptions, terminal: Terminal) -> int:
    """Try everything; 0 when all of it works."""
    settings = load(options.config)
    terminal.line(f"ok    settings: {options.config} has no mistakes", "green")
    findings = [*here(settings, bind=options.bind), *asyncio.run(elsewhere(settings))]
    for finding in findings:
        if finding.remedy is None:
            terminal.line(f"ok    {finding.what}: {finding.said}", "green")
        else:
            word, colour = ("hint", "yellow") if finding.is_hint else ("FAIL", "red")
            terminal.line(f"{word}  {finding.what}: {finding.said}", colour)
            terminal.line(f"      Remedy: {finding.remedy}")
    failed = sum(finding.failed for finding in findings)
    terminal.line(f"{len(findings) + 1} checks, {failed} failed.")
    return 1 if failed else 0


def here(settings: Settings, *, bind: bool) -> list[Finding]:
    """What this machine must have: ports, engines, a folder to write, files to open, flows to serve."""
    findings = [_tried("flows", partial(_flows, settings)), _tried("open files", partial(_open_files, settings))]
    findings += (Finding(doubt.path, doubt.problem, doubt.remedy) for doubt in about_outbound_calls(settings))
    findings += (
        _tried(f"media_stream.account[{a.name}]", partial(_streams_of, a)) for a in settings.media_stream.accounts
    )
    findings += (_tried(f"trunk[{trunk.name}]", partial(_trunk, trunk)) for trunk in settings.trunks if trunk.hosts)
    for flow in settings.flows:
        findings += (_tried(f"flow[{flow.id}].{kind}", engine) for kind, engine in _engines(settings, flow))
        findings += _foreign_to_the_last_ear(settings, flow)
    named = (settings.sip.codecs, *(trunk.codecs or () for trunk in settings.trunks))
    if any(Codec.OPUS in codecs for codecs in named):
        findings.append(_tried("sip.codecs", partial(_opus, named)))
    if settings.sip.tls_certificate is not None:
        findings.append(_tried("sip.tls_certificate", partial(_certificate, settings.sip)))
    folder = settings.storage.call_logs
    if folder is not None:
        findings.append(_tried("storage.call_logs", partial(_writable, folder)))
    if settings.speech.cache_folder is not None:
        findings.append(_tried("speech.cache_folder", partial(_writable, settings.speech.cache_folder)))
    if bind:
        findings += _ports(settings)
    return findings


async def elsewhere(settings: Settings) -> list[Finding]:
    """What must be reachable: every flow's app and its second app, by a connection that carries no event; the
    registrars and proxies, by name; and the vendors of ears and voices, who are asked whether the key is right."""
    places = [(f"flow[{flow.id}].app", flow.app, flow) for flow in settings.flows]
    places += [(f"flow[{f.id}].fallback.url", f.fallback.url, f) for f in settings.flows if f.fallback.url]
    async with asyncio.TaskGroup() as tasks:
        tries = [tasks.create_task(_reach(what, url, flow.connect_within_seconds)) for what, url, flow in places]
        vendors = tasks.create_task(ask_vendors(settings.speech))
        for trunk in settings.trunks:
            named = (("registrar", "registers at", trunk.registrar), ("proxy", "calls go to", trunk.proxy))
            for key, does, where in named:
                if where is not None:
                    tries.append(tasks.create_task(_servers(trunk, where, key, does, settings.sip)))
    findings = [task.result() for task in tries]
    sections = {place.rpartition(".")[2]: f"speech.{place}" for place, _ in settings.speech.engine_places()}
    answers = vendors.result()
    return findings + [
        Finding(f"{sections[each.name]} ({each.kind})", each.said, each.remedy, is_hint=each.code is None)
        for each in answers
    ]


def _tried(what: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(what, attempt())
    except OffhookError as error:
        return Finding(what, error.message, error.remedy)


def _flows(settings: Settings) -> str:
    without = [flow.id for flow in settings.flows if not flow.numbers]
    if not settings.flows:
        raise SettingsInvalid("There is no flow: every call gets 404.", remedy="Add a [[flow]] with app and numbers.")
    if without:
        raise SettingsInvalid(f"No number leads to {', '.join(without)}.", remedy='Set numbers: ["+49…"] or ["*"].')
    return f"{len(settings.flows)} with {sum(len(flow.numbers) for flow in settings.flows)} numbers"


def _open_files(settings: Settings) -> str:
    needed = settings.limits.max_calls * FILES_PER_CALL + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The service raises its own limit as far as it may.
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SettingsInvalid(
            f"limits.max_calls = {settings.limits.max_calls} needs {needed} open files; this process may have {hard}.",
            remedy=f"Raise the limit (ulimit -Hn {needed}; systemd: LimitNOFILE={needed}), or lower limits.max_calls.",
        )
    return f"{needed} are enough for {settings.limits.max_calls} calls (limit {soft}, at most {hard})"


def _trunk(trunk: Trunk) -> str:
    return "calls come from " + ", ".join(str(network) for network in dict.fromkeys(trunk_networks(trunk)))


def _opus(named: Iterable[Iterable[str]]) -> str:
    if without_library(*named):
        raise SettingsInvalid("opus is named, and libopus is not installed.", remedy=opus.REMEDY)
    return "libopus is here"


def _certificate(sip: Sip) -> str:
    certificate = own_certificate(sip)
    if certificate is None:
        raise SettingsInvalid("There is no sip.tls_key for it.", remedy="Name a PEM file with the private key.")
    until = certificate.load()
    left = until - datetime.now(UTC)
    if left < RENEW_BEFORE:
        raise SettingsInvalid(
            f"{sip.tls_certificate} is valid for {left.days} days only.",
            remedy="Renew it; the service takes the new file by itself.",
        )
    return f"{sip.tls_certificate} is valid until {until.date()}"


async def _servers(trunk: Trunk, where: SipDomain, key: str, does: str, sip: Sip) -> Finding:
    what = f"trunk[{trunk.name}].{key}"
    try:
        servers = await servers_of(trunk, where, key, sip)
    except OffhookError as error:
        return Finding(what, error.message, error.remedy)
    return Finding(what, f"{does} {', '.join(servers)}")


def _streams_of(account: MediaStreamAccount) -> str:
    said = (
        ["calls are answered at /media-stream/{}/answer"] if account.signing_key and account.carrier != "bridge" else []
    )
    said += ["streams come to /media-stream/{}/<stream_key>"] if account.stream_key else []
    said.append("they are ended " + ("by REST" if account.rest_key else "with their stream"))
    return "; ".join(said).format(*[account.name] * 2)


def _engines(settings: Settings, flow: Flow) -> Iterable[tuple[str, Callable[[], str]]]:
    for name in flow.speech.transcriber:
        ear = engine_named(settings.speech, name, settings.speech.transcribers)
        if ear is not None:
            yield "speech.transcriber", partial(_engine, ear)
    for name in flow.speech.synthesizer:
        voice = engine_named(settings.speech, name, settings.speech.synthesizers)
        if voice is not None:
            yield "speech.synthesizer", partial(_engine, voice)


def _engine(name: str) -> str:
    library, extra = LIBRARIES.get(name, ("", ""))
    if library and importlib.util.find_spec(library) is None:
        raise ExtraMissing(f"The engine '{name}'", extra=extra)
    return f"'{name}' is here"


def _foreign_to_the_last_ear(settings: Settings, flow: Flow) -> list[Finding]:
    language = flow.speech.language
    last = engine_named(settings.speech, ears_of(flow)[-1], settings.speech.transcribers)
    if language is None or language.lower().partition("-")[0] == "en" or last != EMBEDDED_EAR:
        return []
    said = f"callers speak {language}; the flow's last ear, the embedded one, knows English only."
    remedy = "Name an ear of this language in flow.speech.transcriber, better two; on this machine: offhook models list"
    return [Finding(f"flow[{flow.id}].speech.language", said, remedy, is_hint=True)]


def _writable(folder: Path) -> str:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return f"{folder} can be written"
    except OSError as refusal:
        raise SettingsInvalid(
            f"{folder} cannot be written: {refusal.strerror}.",
            remedy="Give the service's user the right to write there, or name another folder.",
        ) from refusal


def _ports(settings: Settings) -> list[Finding]:
    findings = [_tried("http.listen", partial(_port, settings.http.listen, socket.SOCK_STREAM, "http.listen"))]
    streams = settings.media_stream.listen
    if streams is not None:
        findings.append(
            _tried("media_stream.listen", partial(_port, streams, socket.SOCK_STREAM, "media_stream.listen"))
        )
    for i, address in enumerate(settings.sip.listen):
        kind = socket.SOCK_DGRAM if address.transport == "udp" else socket.SOCK_STREAM
        where = HostPort(address.host, address.port)
        what = f"sip.listen[{i}]"
        findings.append(_tried(what, partial(_port, where, kind, what)))
    findings.append(_tried("sip.rtp_ports", partial(_media_ports, settings)))
    return findings


def _port(where: HostPort, kind: socket.SocketKind, setting: str) -> str:
    with bound(where, kind, setting):
        return f"{where} is free"


def _media_ports(settings: Settings) -> str:
    ports = settings.sip.rtp_ports
    calls = (ports.last - ports.first + 1) // 2
    if calls < settings.limits.max_calls:
        raise SettingsInvalid(
            f"{ports} is enough for {calls} calls; limits.max_calls is {settings.limits.max_calls}.",
            remedy="Widen sip.rtp_ports (two ports a call), or lower limits.max_calls.",
        )
    taken = []
    for port in (ports.first, (ports.first + ports.last) // 2, ports.last):
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(bound(HostPort("0.0.0.0", port), socket.SOCK_DGRAM, "sip.rtp_ports"))  # noqa: S104
            except OffhookError:
                taken.append(port)
    if len(taken) == 3:
        raise SettingsInvalid(f"Other programs use {ports}.", remedy="Set sip.rtp_ports to a range that is free.")
    return f"{ports} is enough for {calls} calls"


async def _reach(what: str, url: str, within_seconds: float) -> Finding:
    parts = urlsplit(url)
    secure = parts.scheme in {"https", "wss"}
    port = parts.port or (443 if secure else 80)
    try:
        async with asyncio.timeout(within_seconds):
            context = ssl.create_default_context() if secure else None
            _, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    except TimeoutError:
        said, remedy = f"did not answer within {within_seconds:g} s", "Is its address right? Is a firewall between?"
    except ssl.SSLError as refusal:
        said, remedy = f"has no usable certificate: {refusal.reason}", "Renew it, or trust its issuer on this machine."
    except OSError as refusal:
        said, remedy = f"cannot be reached: {refusal.strerror or refusal}", "Start the app, or correct its address."
    else:
        return Finding(what, f"{url} can be reached")
    return Finding(what, f"{url} {said}.", remedy)
