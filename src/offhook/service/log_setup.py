"""The shape of the service's own log: one line an event, the session's id on each, on standard error.

Rooms log an event and its values (`logger.info("call_ended", lasted_ms=4200)`), through structlog or the standard
library; both come out here in the same shape. What callers and assistants say never appears above `debug`: an event
above it that carries one of the keys in `WORDS` loses them (contract D43).
"""

import logging
import sys
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, TextIO

import structlog

from offhook.service.settings import Logging

WORDS: Final = frozenset({"text", "ssml", "words", "transcript", "utterance_text", "spoken_text", "digits", "body"})
_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
# Below warning these two tell of each request and each connection, which the house's own lines do already.
_TALKATIVE: Final = ("uvicorn", "aiohttp", "asyncio")


def set_up(settings: Logging, out: TextIO = sys.stderr, also: Iterable[structlog.typing.Processor] = ()) -> None:
    """Send every line of structlog and of the standard library to `out`. `also`: who looks at the house's own lines,
    whatever their level."""
    as_json = settings.format == "json" or (settings.format == "auto" and not out.isatty())
    before = _before_rendering()
    structlog.configure(
        processors=[*before, *also, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *before],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(as_json, out)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[settings.level])
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, _LEVELS[settings.level]))


@contextmanager
def about_session(session_id: str) -> Iterator[None]:
    """Every line logged inside, in this task and those it starts, carries this session's id."""
    with structlog.contextvars.bound_contextvars(session_id=session_id):
        yield


def _before_rendering() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        without_words,
    ]


def _rendering(as_json: bool, out: TextIO) -> list[structlog.typing.Processor]:
    if as_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [structlog.dev.ConsoleRenderer(colors=out.isatty())]


def without_words(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take out what was said, except at `debug`; how long it was stays."""
    if method == "debug" or event.get("level") == "debug":
        return event
    for key in WORDS & event.keys():
        event[f"{key}_length"] = len(str(event.pop(key)))
    return event
