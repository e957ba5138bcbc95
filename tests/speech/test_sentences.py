"""Text made ready to be spoken."""

from hypothesis import given
from hypothesis import strategies as st

from offhook.speech.sentences import cleaned, pieces, shortened, spoken_pieces


def letters(text: str) -> str:
    return "".join(text.split())


@given(st.text(), st.integers(1, 60))
def test_pieces_lose_nothing_but_blanks_and_are_never_too_long(text: str, at_most: int) -> None:
    found = pieces(text, at_most)

    assert letters("".join(found)) == letters(text)
    assert all(0 < len(piece) <= at_most for piece in found)


def test_a_piece_ends_with_a_sentence_where_it_can() -> None:
    assert pieces("First one. Second one! Third one?", 24) == ["First one. Second one!", "Third one?"]


def test_a_sentence_too_long_is_cut_between_words() -> None:
    assert pieces("one two three four", 9) == ["one two", "three", "four"]


def test_a_script_without_blanks_is_cut_after_its_own_full_stop() -> None:
    assert pieces("你好。再见。", 3) == ["你好。", "再见。"]


@given(st.text())
def test_cleaned_text_holds_no_control_characters_and_can_be_encoded(text: str) -> None:
    assert all(ord(c) >= 32 or c == "\n" for c in cleaned(text))
    cleaned(text).encode()


def test_commands_to_the_engine_are_taken_out() -> None:
    assert cleaned("\x0150S hello\0 there\t now") == "50S hello there now"


def test_emoji_stay() -> None:
    assert cleaned("😀 hi") == "😀 hi"


def test_shortened_text_ends_with_a_word() -> None:
    assert shortened("one two three", 9) == "one two"
    assert shortened("one two three", 13) == "one two three"
    assert shortened("onetwothree", 4) == "onet"


def test_text_is_cut_behind_its_first_sentence() -> None:
    assert spoken_pieces("Guten Tag, Dr. Weber. Es ist 15.30 Uhr. Bis morgen!") == [
        "Guten Tag, Dr. Weber.",
        "Es ist 15.30 Uhr. Bis morgen!",
    ]
    assert spoken_pieces("no end") == ["no end"]
    assert spoken_pieces("... \n") == []
    assert all(len(piece) <= 400 for piece in spoken_pieces("One more sentence. " * 200))
