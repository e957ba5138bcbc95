"""How answers are read (contract D2, D24, D27)."""

import json
import threading
from collections.abc import Iterator

from offhook.app_links.answer_reading import LARGE, AnswerReading, note_texts
from offhook.protocol.actions import Speak, Transfer
from offhook.protocol.json_codec import Note


class WatchedNames(list[str]):
    """Names of transcribers that remember in which threads they were looked at."""

    def __init__(self) -> None:
        super().__init__(["own"])
        self.threads: set[int] = set()

    def __iter__(self) -> Iterator[str]:
        self.threads.add(threading.get_ident())
        return super().__iter__()

    def __contains__(self, name: object) -> bool:
        self.threads.add(threading.get_ident())
        return super().__contains__(name)


def configured(padding: int) -> str:
    return json.dumps([{"type": "configure_transcription", "provider": "own", "padding": "a" * padding}])


async def test_a_small_answer_is_read_on_the_loop_and_a_large_one_away_from_it() -> None:
    """(contract D27)"""
    for padding, here in ((0, True), (LARGE, False)):
        names = WatchedNames()
        read = await AnswerReading("s1", transcribers=names).read(configured(padding))
        assert len(read.actions) == 1
        assert names.threads
        assert (names.threads == {threading.get_ident()}) is here


async def test_numbers_in_national_form_are_read_with_the_flow_s_country() -> None:
    """(contract D2)"""
    text = json.dumps({"type": "transfer", "target_phone_number": "0211 55660"})
    (action,) = (await AnswerReading("s1", default_country="DE").read(text)).actions
    assert isinstance(action, Transfer)
    assert action.target_phone_number == "+4921155660"


async def test_the_session_is_filled_in_where_it_is_missing() -> None:
    """(contract D17)"""
    (action,) = (await AnswerReading("s1").read('{"type": "speak", "text": "Hello"}')).actions
    assert action == Speak(session_id="s1", text="Hello")


def test_a_note_is_one_line_with_its_place_and_its_remedy() -> None:
    notes = (Note("a", "[1].text", "It is odd.", "Mend it."), Note("b", "", "All is odd.", "Mend all."))
    assert note_texts(notes) == ("[1].text: It is odd. Mend it.", "All is odd. Mend all.")
