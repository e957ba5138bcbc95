"""What the service counts, as metrics."""

from collections.abc import Iterator, Mapping
from typing import Final, Protocol, runtime_checkable

from offhook.calls.dial_guard import CALL_LIMIT_RULES
from offhook.control.metrics import Metric


class CountingRegister(Protocol):
    """The calls of this node, with what has been counted about them."""

    @property
    def counted(self) -> Mapping[str, int]:
        """Counters by name: `calls_admitted`, `calls_refused_full` …"""

    def calls_in_progress(self) -> int:
        """How many there are."""


class CountingKeeper(Protocol):
    """Who deletes call logs."""

    @property
    def deleted(self) -> int: ...


ABOUT: Final = {
    "calls_admitted": "Calls that were taken in.",
    "calls_ended": "Calls that are over.",
    "calls_placed": "Calls that were placed by the REST API; those below say what became of them.",
    "calls_placed_answered": "Such calls that were answered.",
    "calls_placed_busy": "Such calls whose recipient was busy.",
    "calls_placed_cancelled": "Such calls that were ended before anybody answered, by us.",
    "calls_placed_failed": "Such calls that could not be put through.",
    "calls_placed_no_answer": "Such calls that nobody answered in time.",
    "calls_placed_rejected": "Such calls that were rejected.",
    "calls_refused_draining": "Calls refused with 503 because the service was being stopped.",
    "calls_refused_full": "Calls refused with 503 because limits.max_calls were in progress.",
    "calls_refused_no_flow": "Calls refused with 404 because no flow has the number.",
}


class CountingMedia(Protocol):
    """The way to the media process, with what it has counted."""

    @property
    def late_ticks(self) -> int: ...

    @property
    def restarts(self) -> int: ...

    @property
    def rows_open(self) -> int: ...

    @property
    def wideband_open(self) -> int: ...

    @property
    def gone(self) -> int: ...


class CountingCache(Protocol):
    """Finished speech."""

    @property
    def bytes_held(self) -> int: ...

    @property
    def bytes_on_disk(self) -> int: ...

    @property
    def found(self) -> Mapping[str, int]:
        """How often speech was asked for, by where it was."""

    def __len__(self) -> int: ...


class SpeechCacheMetrics:
    """The numbers of the speech cache."""

    def __init__(self, cache: CountingCache) -> None:
        self._cache: Final = cache

    def metrics(self) -> Iterator[Metric]:
        """The numbers as they are now."""
        about = "Samples of finished speech in memory, in bytes; limited by speech.cache_mb."
        yield Metric("offhook_speech_cache_bytes", "gauge", about, self._cache.bytes_held)
        yield Metric("offhook_speech_cache_entries", "gauge", "Pieces of finished speech in memory.", len(self._cache))
        about = "Finished speech on disk, in bytes; limited by speech.cache_disk_mb."
        yield Metric("offhook_speech_cache_disk_bytes", "gauge", about, self._cache.bytes_on_disk)
        about = "How often speech was asked for, by where it was: in memory, on disk, or nowhere."
        for where, count in self._cache.found.items():
            yield Metric("offhook_speech_cache_asked_total", "counter", about, count, {"found": where})


class MediaMetrics:
    """The numbers of the media process."""

    def __init__(self, media: CountingMedia) -> None:
        self._media: Final = media

    def metrics(self) -> Iterator[Metric]:
        """The numbers as they are now."""
        media = self._media
        late = "Ticks of the media clock that began more than 5 ms late, or never."
        yield Metric("offhook_media_late_ticks_total", "counter", late, media.late_ticks)
        restarts = "How often the media process was started again."
        yield Metric("offhook_media_restarts_total", "counter", restarts, media.restarts)
        yield Metric("offhook_media_rows_open", "gauge", "Legs that the media process carries.", media.rows_open)
        wideband = "Legs at 16 kHz; at limits.max_wideband_calls, callers who offer G.711 get it."
        yield Metric("offhook_media_wideband_rows_open", "gauge", wideband, media.wideband_open)
        gone = "Legs given up because nothing came from them for limits.media_timeout_seconds."
        yield Metric("offhook_media_gone_total", "counter", gone, media.gone)


class ServiceMetrics:
    """The numbers of the call register and of the call logs."""

    def __init__(self, register: CountingRegister, keeper: CountingKeeper | None = None) -> None:
        self._register: Final = register
        self._keeper: Final = keeper

    def metrics(self) -> Iterator[Metric]:
        """The numbers as they are now; counters that never rose are 0."""
        in_progress = self._register.calls_in_progress()
        yield Metric("offhook_calls_in_progress", "gauge", "Calls in progress.", in_progress)
        counted = dict.fromkeys(ABOUT, 0) | dict(self._register.counted)
        for name, value in sorted(counted.items()):
            about = ABOUT.get(name, name.replace("_", " ").capitalize() + ".")
            yield Metric(f"offhook_{name}_total", "counter", about, value)
        if self._keeper is not None:
            about = "Call logs deleted because they were older than storage.keep_days."
            yield Metric("offhook_call_logs_deleted_total", "counter", about, self._keeper.deleted)


@runtime_checkable
class RegisteredTrunks(Protocol):
    """A listener that is registered somewhere."""

    @property
    def trunks_registered(self) -> Mapping[str, bool]:
        """For every trunk with a registrar, by name, whether its calls come here."""

    @property
    def trunks_reachable(self) -> Mapping[str, bool]:
        """For every trunk with a proxy and no registrar, by name, whether it answers; when that is known."""


@runtime_checkable
class RefusingListener(Protocol):
    """A listener that turns messages away at the door."""

    @property
    def refused(self) -> Mapping[str, int]:
        """How many, for every rule by its name."""

    @property
    def transactions(self) -> int:
        """What is remembered of requests, for repeated ones."""


class RefusalMetrics:
    """What was turned away at the door of SIP, by rule; and what is remembered of what was not."""

    def __init__(self, listener: RefusingListener) -> None:
        self._listener: Final = listener

    def metrics(self) -> Iterator[Metric]:
        """The counts as they are now."""
        about = "SIP messages, calls and connections turned away, by the rule that did it."
        for rule, count in self._listener.refused.items():
            yield Metric("offhook_sip_refused_total", "counter", about, count, {"rule": rule})
        about = "SIP transactions in memory; each is kept for up to 32 s after its end."
        yield Metric("offhook_sip_transactions", "gauge", about, self._listener.transactions)


class CountingRoutes(Protocol):
    """A dial plan, with what it has counted."""

    @property
    def refused(self) -> Mapping[str, int]:
        """Calls that were not placed, for every rule by its name."""

    @property
    def allowed(self) -> int: ...

    @property
    def caller_ids_replaced(self) -> int: ...


class DialMetrics:
    """The numbers of the dial plan."""

    def __init__(self, routes: CountingRoutes) -> None:
        self._routes: Final = routes

    def metrics(self) -> Iterator[Metric]:
        """The counts as they are now; limits that nobody has reached are 0."""
        routes = self._routes
        yield Metric("offhook_dials_allowed_total", "counter", "Calls that the dial plan let through.", routes.allowed)
        about = "Calls, transfers among them, that were not placed, by the rule that refused them."
        counted = dict.fromkeys(CALL_LIMIT_RULES, 0) | dict(routes.refused)
        for rule, count in sorted(counted.items()):
            yield Metric("offhook_dials_refused_total", "counter", about, count, {"rule": rule})
        about = "Calls that show the number of their flow, because their trunk does not allow the one asked for."
        yield Metric("offhook_caller_ids_replaced_total", "counter", about, routes.caller_ids_replaced)


class TrunkMetrics:
    """Which trunks are registered, and which answer."""

    def __init__(self, trunks: RegisteredTrunks) -> None:
        self._trunks: Final = trunks

    def metrics(self) -> Iterator[Metric]:
        """The state as it is now."""
        about = "1 while the trunk is registered at its registrar."
        for name, registered in self._trunks.trunks_registered.items():
            yield Metric("offhook_trunk_registered", "gauge", about, float(registered), {"trunk": name})
        about = "1 while the trunk, which has no registrar, answers when it is asked whether it is there."
        for name, reachable in self._trunks.trunks_reachable.items():
            yield Metric("offhook_trunk_reachable", "gauge", about, float(reachable), {"trunk": name})


@runtime_checkable
class CountingStreams(Protocol):
    """A listener for carriers' media streams, with what it has counted about them."""

    @property
    def stream_counts(self) -> Mapping[str, int]: ...

    @property
    def streams_open(self) -> int: ...


ABOUT_STREAMS: Final = {
    "answers": "Questions of carriers what to do with a call that were answered.",
    "answers_refused_busy": "Such questions that were not looked at because too many signatures were being checked.",
    "answers_refused_signature": "Such questions with a wrong signature.",
    "chunks_lost": "Chunks of audio that carriers numbered and never sent.",
    "edge_restarts": "How often the process that holds the streams was started again.",
    "frames_dropped": "Pieces of 20 ms that were not sent because a carrier did not play what it had.",
    "hang_ups_failed": "Calls that could not be ended through the carrier's REST interface.",
    "mark_ms": "What returned marks took together, in ms: how late callers hear what was sent.",
    "marks_returned": "Marks that came back: what was sent before them was heard.",
    "streams_broken_off": "Streams that ended without the carrier's saying so.",
    "streams_closed_odd": "Streams that were closed because their messages meant nothing.",
    "streams_closed_unread": "Streams that were closed because their carrier did not read what it was sent.",
    "streams_never_started": "WebSockets that did not say in time which call they carry.",
    "streams_not_resumed": "Calls that ended because their stream did not come back in time.",
    "streams_refused_full": "Streams refused with 503 because media_stream.max_streams were open.",
    "streams_refused_token": "Streams to an address that is not, or no longer, open.",
    "streams_resumed": "Streams that took up a call again.",
    "streams_started": "Streams that began to carry a call.",
    "transfers_asked": "Callers whom a carrier was asked to connect with somebody else.",
    "transfers_refused": "Those of which the carrier would not, or was not reached.",
}


class MediaStreamMetrics:
    """The numbers of carriers' media streams."""

    def __init__(self, streams: CountingStreams) -> None:
        self._streams: Final = streams

    def metrics(self) -> Iterator[Metric]:
        """The numbers as they are now; counters that never rose are 0."""
        about = "WebSockets of carriers' media streams that are open."
        yield Metric("offhook_media_streams_open", "gauge", about, self._streams.streams_open)
        counted = dict.fromkeys(ABOUT_STREAMS, 0) | dict(self._streams.stream_counts)
        for name, value in sorted(counted.items()):
            about = ABOUT_STREAMS.get(name, name.replace("_", " ").capitalize() + ".")
            full = (
                f"offhook_media_{name}_total" if name.startswith("streams_") else f"offhook_media_stream_{name}_total"
            )
            yield Metric(full, "counter", about, value)
