"""One line an event, the session's id on each, nobody's words above debug."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from offhook.service.log_setup import about_session, set_up
from offhook.service.settings import Logging


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    set_up(Logging(format="json", level="debug"), out)
    yield out
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_an_event_is_one_line_with_its_values(log: io.StringIO) -> None:
    structlog.get_logger("offhook.calls").info("call_ended", lasted_ms=4200)
    (line,) = lines(log)
    assert line["event"] == "call_ended"
    assert line["lasted_ms"] == 4200
    assert line["level"] == "info"
    assert line["logger"] == "offhook.calls"
    assert str(line["timestamp"]).endswith("Z")


def test_the_standard_librarys_lines_have_the_same_shape(log: io.StringIO) -> None:
    logging.getLogger("offhook.sip").warning("packet_refused", extra={"source": "192.0.2.1"})
    (line,) = lines(log)
    assert line["event"] == "packet_refused"
    assert line["source"] == "192.0.2.1"


def test_inside_a_call_every_line_carries_its_session(log: io.StringIO) -> None:
    with about_session("s-1"):
        structlog.get_logger().info("event_sent")
        logging.getLogger("offhook.app_links").info("answer")
    structlog.get_logger().info("idle")
    assert [line.get("session_id") for line in lines(log)] == ["s-1", "s-1", None]


def test_what_was_said_is_not_logged_at_info(log: io.StringIO) -> None:
    """(contract D43)"""
    structlog.get_logger().info("words_heard", text="my password is swordfish", turn=1)
    (line,) = lines(log)
    assert "swordfish" not in str(line)
    assert line["text_length"] == 24
    assert line["turn"] == 1


def test_what_was_said_may_be_logged_at_debug(log: io.StringIO) -> None:
    structlog.get_logger().debug("words_heard", text="hello")
    assert lines(log)[0]["text"] == "hello"


def test_an_exception_stays_in_its_line(log: io.StringIO) -> None:
    try:
        raise KeyError("row 7")
    except KeyError:
        structlog.get_logger().exception("call_failed")
    (line,) = lines(log)
    assert "row 7" in str(line["exception"])


def test_lines_below_the_level_are_left_out(log: io.StringIO) -> None:
    set_up(Logging(format="json", level="warning"), log)
    structlog.get_logger().info("call_ended")
    assert lines(log) == []


def test_a_terminals_lines_are_for_people(log: io.StringIO) -> None:
    out = io.StringIO()
    set_up(Logging(format="console"), out)
    structlog.get_logger().info("call_ended", lasted_ms=4200)
    assert "call_ended" in out.getvalue()
    assert "lasted_ms" in out.getvalue()
