"""The house, put together. Concrete classes are chosen here, and those of ears and voices in `speech_engines`.

`open_house` gives a house that is running: media process, engines, flows, register. Commands add listeners and decide
how long.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

import aiohttp
import structlog

from offhook.app_links.app_client import open_client
from offhook.app_links.app_link import AppLink
from offhook.app_links.webhook import WebhookLink
from offhook.app_links.websocket import WebSocketLink
from offhook.calls.call_log import CallWatcher, LogWriter
from offhook.calls.call_register import CallRegister
from offhook.calls.dial_routes import DialRoutes
from offhook.calls.flow import CallOfFlow, Flow
from offhook.calls.heartbeat import Heartbeat
from offhook.calls.media_link import MediaLink, ProcessMediaLink
from offhook.calls.placed_leg import WayOut
from offhook.media.messages import Codec
from offhook.protocol.json_codec import build_models
from offhook.protocol.session import Session
from offhook.service.allowed_sources import networks_of_trunks
from offhook.service.call_log_keeper import CallLogKeeper
from offhook.service.codecs_by_load import CodecsByLoad
from offhook.service.dial_plan import DialPlan
from offhook.service.flow_book import FlowBook, FlowFound
from offhook.service.flow_terms import call_settings
from offhook.service.log_places import NoLogs, open_logs
from offhook.service.prompt_fetch import PromptFetch
from offhook.service.setting_types import SipDomain
from offhook.service.settings import Flow as FlowSettings
from offhook.service.settings import Limits, Settings, Sip
from offhook.service.sip_servers import own_certificate
from offhook.service.speech_engines import EarsOfFlow, Engines, start_engines, transcribers_known, voice_of
from offhook.service.speech_settings import Speech
from offhook.service.spoken_codecs import spoken_codecs
from offhook.service.trunk_settings import Trunk
from offhook.service.vendor_checks import say_what_vendors_say
from offhook.service.while_it_rings import while_it_rings
from offhook.transports.call_leg import Listener
from offhook.transports.media_stream.listener import MediaStreamListener
from offhook.transports.media_stream.settings import StreamAccount, StreamSettings
from offhook.transports.sip.account import Account
from offhook.transports.sip.front_door import RequestLimits
from offhook.transports.sip.front_proxy import FrontProxy
from offhook.transports.sip.listener import SipListener
from offhook.transports.sip.sdes import Srtp, SrtpRules
from offhook.transports.sip.trunk import INBAND, SipTrunk
from offhook.transports.sip.user import User as SipUser

logger = structlog.get_logger()

OpenApp: TypeAlias = Callable[[str, str | None, asyncio.TaskGroup], AppLink]


@dataclass(frozen=True, slots=True)
class House:
    """A running house."""

    settings: Settings
    link: MediaLink
    heart: Heartbeat
    register: CallRegister
    engines: Engines
    keeper: CallLogKeeper | None
    logs: LogWriter | None
    routes: DialPlan

    async def written(self) -> None:
        """Wait until every log line so far is on disk."""
        if self.logs is not None:
            await asyncio.to_thread(self.logs.settle)


@dataclass(frozen=True, slots=True)
class ByHand:
    """What stands in for processes and networks where time goes by hand: media and its beat, who opens the app, and
    what callers say to the scripted ear, which with its voice is then the only engine. None: the real engines."""

    link: MediaLink
    heart: Heartbeat
    open_app: OpenApp
    words: Sequence[str | None] | None


@asynccontextmanager
async def open_house(
    settings: Settings,
    *,
    watch: Callable[[Session], CallWatcher | None] = lambda _: None,
    practice: DialRoutes | None = None,
    by_hand: ByHand | None = None,
) -> AsyncIterator[House]:
    """Start everything but listeners and HTTP, and stop it in the opposite order. `practice`: a dial plan in
    the place of that of the settings, where nobody is really called. `by_hand`: for a clock by hand.

    Raises OffhookError when a part without which no call can be taken does not start.
    """
    build_models()
    async with AsyncExitStack() as stack:
        link: MediaLink = _media_process(settings) if by_hand is None else by_hand.link
        await link.start()
        stack.push_async_callback(link.end)
        engines = await start_engines(settings, stack, None if by_hand is None else by_hand.words)
        engines.tasks.run(say_what_vendors_say(engines), name="asking vendors")
        client = await stack.enter_async_context(open_client())
        prompts = await stack.enter_async_context(PromptFetch(settings.limits.prompt_networks))
        logs, keeper = open_logs(settings.storage.call_logs, settings.storage.keep_days, stack)
        heart = Heartbeat(link) if by_hand is None else by_hand.heart
        routes = DialPlan(settings, lambda: heart.ms / 1000)
        ears_known = transcribers_known(settings.speech)
        flows = {
            flow.id: _flow(
                flow,
                settings.speech,
                engines=engines,
                open_app=partial(_open_app, flow, ears_known, client) if by_hand is None else by_hand.open_app,
                prompts=prompts,
            )
            for flow in settings.flows
        }
        register = CallRegister(
            link=link,
            heart=heart,
            switchboard=_Switchboard(
                FlowBook(settings.flows, {trunk.name: trunk.default_country for trunk in settings.trunks}), flows
            ),
            logs=logs or NoLogs(),
            max_calls=settings.limits.max_calls,
            retry_after_seconds=settings.limits.retry_after_seconds,
            way_out=WayOut(link, practice or routes),
            watch=watch,
        )
        yield House(settings, link, heart, register, engines, keeper, logs, routes)


async def sip_listeners(settings: Settings, link: MediaLink, front: FrontProxy | None = None) -> list[SipListener]:
    """The SIP listener of these settings, not started; none when they name no address. `front` listens in its place.
    `link` knows how many legs are wideband. Raises OffhookError for a trunk's host that is not known."""
    if not settings.sip.listen:
        return []
    trunks = await asyncio.to_thread(networks_of_trunks, settings)
    return [
        SipListener(
            [str(address) for address in settings.sip.listen],
            advertise=settings.sip.advertise,
            accepts_from=[str(network) for network in settings.sip.allow_from],
            accepts_loopback=settings.sip.allow_this_machine,
            denies_from=[str(network) for network in settings.sip.deny_from],
            trunks={name: [str(network) for network in networks] for name, networks in trunks.items()},
            limits=_request_limits(settings.limits),
            digest_algorithms=settings.sip.digest,
            tones_of=[trunk.name for trunk in settings.trunks if trunk.keys == INBAND],
            users=[
                SipUser(user.name, user.password, user.numbers, user.may_dial, user.max_calls)
                for user in settings.users
            ],
            max_calls=settings.limits.max_calls + SPARE_SIP_CALLS,
            codecs=CodecsByLoad(spoken_codecs(settings.sip.codecs), link, settings.limits.max_wideband_calls),
            srtp=SrtpRules(
                Srtp(settings.sip.srtp),
                {trunk.name: Srtp(trunk.srtp) for trunk in settings.trunks if trunk.srtp is not None},
            ),
            accounts=[_account(trunk, trunk.registrar) for trunk in settings.trunks if trunk.registrar is not None],
            watches=[_account(trunk, where) for trunk in settings.trunks if (where := trunk.watched)],
            dns_servers=[(server.host, server.port) for server in settings.sip.dns_servers],
            dials_by=[_sip_trunk(trunk, where, settings.sip) for trunk in settings.trunks if (where := trunk.sends_to)],
            certificate=own_certificate(settings.sip),
            front=front,
        )
    ]


def _sip_trunk(trunk: Trunk, where: SipDomain, sip: Sip) -> SipTrunk:
    return SipTrunk(
        name=trunk.name,
        host=where.host,
        port=where.port,
        transport=trunk.transport,
        username=trunk.username,
        auth_username=trunk.auth_username,
        password=trunk.password,
        from_domain=trunk.from_domain,
        codecs=spoken_codecs(trunk.codecs or sip.codecs),
        follow_redirects=trunk.follow_redirects,
        session_seconds=trunk.session_seconds,
        asserts_identity=trunk.asserts_identity,
        srtp=Srtp(trunk.srtp or sip.srtp),
        keys=trunk.keys,
        tls_ca=None if trunk.tls_ca is None else str(trunk.tls_ca),
        tls_verify=trunk.tls_verify,
    )


def _request_limits(limits: Limits) -> RequestLimits:
    return RequestLimits(
        stranger_per_second=limits.stranger_requests_per_second,
        source_per_second=limits.source_requests_per_second,
        trunk_per_second=limits.trunk_requests_per_second,
    )


async def listeners(settings: Settings, link: MediaLink, front: FrontProxy | None = None) -> list[Listener]:
    """All ways for calls to come in that these settings name, not started. Raises OffhookError as `sip_listeners`."""
    return [*await sip_listeners(settings, link, front), *_media_stream_listeners(settings)]


def _media_stream_listeners(settings: Settings) -> list[MediaStreamListener]:
    streams = settings.media_stream
    if streams.listen is None or streams.public_url is None:
        return []
    told = StreamSettings(
        public_url=streams.public_url,
        accounts=tuple(
            StreamAccount(
                name=account.name,
                carrier=account.carrier,
                signing_key=account.signing_key,
                stream_key=account.stream_key,
                rest_user=account.rest_user,
                rest_key=account.rest_key,
                api_url=account.api_url,
                codec=Codec(account.codec),
                l16_little_endian=account.l16_little_endian,
            )
            for account in streams.accounts
        ),
        max_streams=streams.max_streams,
        start_within_seconds=streams.start_within_seconds,
        max_message_bytes=streams.max_message_bytes,
        token_seconds=streams.token_seconds,
    )
    where = (streams.listen.host, streams.listen.port)
    return [MediaStreamListener(told, where, grace_seconds=streams.grace_seconds)]


def _account(trunk: Trunk, registrar: SipDomain) -> Account:
    return Account(
        name=trunk.name,
        host=registrar.host,
        port=registrar.port,
        username=trunk.username or "",
        password=trunk.password or "",
        auth_username=trunk.auth_username,
        transport=trunk.transport,
        expires_s=trunk.expires_seconds,
        keep_alive_s=trunk.keep_alive_seconds,
        tls_ca=None if trunk.tls_ca is None else str(trunk.tls_ca),
        tls_verify=trunk.tls_verify,
    )


# A caller who is transferred has a row, and so has the one he talks to; rows that nobody uses cost next to nothing.
LEGS_A_CALL: Final = 2

# The register refuses what is one too many, and says why; the listener's own limit only guards memory.
SPARE_SIP_CALLS: Final = 500


def _media_process(settings: Settings) -> ProcessMediaLink:
    return ProcessMediaLink(
        host=_media_host(settings),
        ports=settings.sip.rtp_ports,
        max_calls=settings.limits.max_calls * LEGS_A_CALL,
        gone_after_ms=int(settings.limits.media_timeout_seconds * 1000),
    )


def _media_host(settings: Settings) -> str:
    """Where RTP is received: one address when SIP listens on one, all of them otherwise."""
    hosts = {address.host for address in settings.sip.listen}
    return hosts.pop() if len(hosts) == 1 else "0.0.0.0" if hosts else "127.0.0.1"  # noqa: S104


# --- flows


def _flow(flow: FlowSettings, speech: Speech, *, engines: Engines, open_app: OpenApp, prompts: PromptFetch) -> Flow:
    return Flow(
        id=flow.id,
        account_id=flow.account_id,
        settings=partial(call_settings, flow),
        open_app=open_app,
        voice=voice_of(flow, speech, engines),
        ears=EarsOfFlow(flow, speech, engines),
        fetch=prompts.fetch,
        while_it_rings=while_it_rings(flow),
        ring_seconds=flow.ring_seconds,
    )


def _open_app(
    flow: FlowSettings,
    transcribers: Collection[str],
    client: aiohttp.ClientSession,
    session_id: str,
    url: str | None,
    tasks: asyncio.TaskGroup,
) -> AppLink:
    address = url or flow.app
    if address.startswith(("ws://", "wss://")):
        return WebSocketLink(
            address,
            session_id,
            client=client,
            tasks=tasks,
            token=flow.token,
            connect_within_ms=round(flow.connect_within_seconds * 1000),
            default_country=flow.default_country,
            transcribers=transcribers,
        )
    return WebhookLink(
        address,
        session_id,
        client=client,
        tasks=tasks,
        token=flow.token,
        signing_secret=flow.signing_secret,
        time_limit_ms=round(flow.answer_within_seconds * 1000),
        default_country=flow.default_country,
        transcribers=transcribers,
    )


class _Switchboard:
    """The flow book, with flows that are ready for calls."""

    def __init__(self, book: FlowBook, flows: Mapping[str, Flow]) -> None:
        self._book: Final = book
        self._flows: Final = flows

    def find(self, called: str, caller: str | None, trunk: str | None = None) -> CallOfFlow | None:
        return self._ready(self._book.find(called, caller, trunk))

    def calling(self, flow_id: str, called: str) -> CallOfFlow | None:
        return self._ready(self._book.calling(flow_id, called))

    def _ready(self, found: FlowFound | None) -> CallOfFlow | None:
        return None if found is None else CallOfFlow(self._flows[found.flow.id], found.called, found.caller)
