"""A call explained on one page."""

from offhook.calls.call_log import RecordedCall
from offhook.calls.call_story import story
from offhook.conversation.defaults import CallSettings
from offhook.conversation.inputs import (
    AppFailed,
    AppLost,
    CallConnected,
    CallerHungUp,
    CallOffered,
    EndRequested,
    FinalWords,
    Input,
    Ms,
    TransferFailed,
)
from offhook.conversation.outputs import Dropped, HangUp, Ignored, Output, SwitchApp
from offhook.conversation.record import order_to_record
from offhook.protocol.session import Session

SESSION = Session(
    id="3f2a", account_id="local", phone_number="+4921155660", direction="inbound",
    from_phone_number="+4915112345678", to_phone_number="+4921155660",
)  # fmt: skip
ABOUT: dict[str, object] = {
    "flow": "support", "transport": "sip", "trunk": "carrier", "call_id": "a@b", "called": "021155660",
    "caller": "0151 12345678", "outcome": "answered",
}  # fmt: skip
BEGUN: tuple[tuple[Ms, Input], ...] = ((0, CallOffered()), (20, CallConnected()))


def page(
    *facts: tuple[Ms, Input],
    orders: tuple[tuple[Ms, Output], ...] = (),
    notes: tuple[tuple[Ms, str], ...] = (),
    about: dict[str, object] | None = None,
) -> str:
    call = RecordedCall(
        CallSettings(session=SESSION, began_at=1_764_000_000_000),
        ABOUT | (about or {}),
        (*BEGUN, *facts),
        tuple((at, order_to_record(order)) for at, order in orders),
        notes,
    )
    return "\n".join(told.text for told in story(call))


def test_the_page_says_how_the_call_came_and_how_its_numbers_were_read() -> None:
    told = page((4000, CallerHungUp("caller_hung_up")))
    assert "Call 3f2a" in told
    assert "2025-11-24 16:00:00 UTC, 4.0 s, inbound, answered" in told
    assert "by sip, trunk carrier, Call-ID a@b, flow support" in told
    assert "called  021155660, read as +4921155660" in told
    assert "caller  0151 12345678, read as +4915112345678" in told


def test_a_withheld_number_is_said_to_be_withheld() -> None:
    assert "caller  (withheld), read as +4915112345678" in page(about={"caller": ""})


def test_the_page_says_who_ended_it() -> None:
    assert "The other side hung up. (caller_hung_up, after 4.0 s)" in page((4000, CallerHungUp("caller_hung_up")))
    by_app = page((4000, CallerHungUp("app")), orders=((3900, HangUp("app")),))
    assert "The app ended it, by hangup. (app, after 4.0 s)" in by_app
    asked = page(
        (3000, EndRequested("operator", "")), (4000, CallerHungUp("operator")), orders=((3000, HangUp("operator")),)
    )
    assert "The service was asked to end it. (operator" in asked


def test_a_status_is_said_in_words() -> None:
    told = page((4000, CallerHungUp("busy", 486)))
    assert "Whom it was for is busy. SIP status 486, busy. (busy, after 4.0 s)" in told
    assert "SIP status 499." in page((4000, CallerHungUp("failed", 499)))


def test_a_log_without_an_end_is_said_to_have_none() -> None:
    assert "its log has no end" in page()


def test_a_call_without_trouble_is_said_to_be_one() -> None:
    told = page((9, CallerHungUp("caller_hung_up")), notes=((5, "answer to event 1 after 20 ms"), (6, "line: PCMA")))
    assert "Nothing was refused, dropped or failed." in told


def test_everything_that_went_wrong_stands_there_in_order_with_its_remedy() -> None:
    told = page(
        (1000, AppFailed(2, "HTTP 500 Remedy: Mend it.")),
        (2000, AppLost("no connection")),
        (3000, TransferFailed("busy", 486)),
        (9000, CallerHungUp("caller_hung_up")),
        orders=(
            (500, Dropped("unknown_action", "[0].type", "Send one of the documented actions.")),
            (2500, SwitchApp("http://localhost/second")),
            (8000, Ignored(TransferFailed("busy"), "call connected")),
        ),
        notes=(
            (
                4000,
                "transfer: +881612345678 is not dialled (satellite): no entry lists it.",
            ),
            (5000, "transfer: +49211 is called by the trunk carrier, call x"),
        ),
    )
    lines = told.splitlines()
    times = [float(line.split()[0]) for line in lines if line.startswith("     ") and line.split()[0][0].isdigit()]
    assert times == sorted(times) == [0.5, 1.0, 2.0, 2.5, 3.0, 4.0, 8.0]
    assert "an action was dropped (unknown_action at [0].type)" in told
    assert "Remedy: Send one of the documented actions." in told
    assert "the app did not answer event 2: HTTP 500" in told
    assert "Remedy: Mend it." in told
    assert "the transfer failed: the target is busy (SIP status 486, busy)" in told
    assert "+881612345678 is not dialled (satellite)" in told
    assert "is called by the trunk" not in told


def test_words_that_were_heard_with_little_confidence_are_told_of() -> None:
    told = page(
        (1000, FinalWords(1, "yes", None, 0.93)),
        (2000, FinalWords(2, "the the", None, 0.314)),
        (3000, FinalWords(3, "", None, 0.0)),
        (4000, FinalWords(4, "no")),
        (9000, CallerHungUp("caller_hung_up")),
    )
    assert told.count("uncertain") == 1
    assert "   2.000  the words of turn 2 are uncertain: the recogniser's confidence is 0.31" in told


def test_the_page_ends_with_how_good_the_line_was() -> None:
    told = page(about={"quality": {"codec": "PCMA", "loss_percent": 1.5, "mos": None}})
    assert told.endswith("How good the line was: codec PCMA, loss percent 1.5")


def test_the_page_says_which_engines_heard_and_spoke_and_which_failed() -> None:
    failed = "the voice azure failed (provider_unreachable), espeak speaks: Azure cannot be reached. Remedy: Look."
    told = page(notes=((20, "ear: pocketsphinx"), (700, failed), (700, "voice: espeak")))

    assert "  asked to hear: pocketsphinx\n  spoken by espeak\n" in told
    assert (
        "     0.700  the voice azure failed (provider_unreachable), espeak speaks: Azure cannot be reached.\n"
        "            Remedy: Look."
    ) in told
    assert "Nothing was refused" not in told
