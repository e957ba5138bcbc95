"""What docs/write-an-app/first-hour.md shows, in a folder of its own: the app, its tests, a call that became a test."""

import numpy as np
import pytest
import soundfile

pytest_plugins = ["pytester"]

PIZZA = """
from offhook import Assistant, ConfigureTranscription, Hangup, Speak

assistant = Assistant()
ANSWERS = {"on sunday": "On Sunday we are open from five to ten.", "the address": "We are at twelve Harbour Street."}


@assistant.on_session_start
def greet(event):
    return [ConfigureTranscription(custom_vocabulary=[*ANSWERS, "goodbye"]), "Pizza Roma. What would you like to know?"]


@assistant.on_user_speak
def answer(event):
    if "bye" in event.text.lower():
        return [Speak(text="See you soon!"), Hangup()]
    found = [text for words, text in ANSWERS.items() if words in event.text.lower()]
    return found or "Say: on Sunday, or: the address, or: goodbye."
"""

TESTS = """
from pizza import assistant


async def test_a_caller_learns_when_we_are_open(rehearse):
    async with rehearse(assistant) as call:
        await call.says("are you open on Sunday?")
        await call.listens()
        assert call.heard("from five to ten")
        await call.says("goodbye")
        await call.listens()
        assert call.ended


async def test_the_same_with_sound(phone_call):
    async with phone_call(assistant) as call:
        await call.says("are you open on Sunday?")
        await call.listens()
        assert call.heard("from five to ten")
        await call.says("goodbye")
        await call.listens()
        assert call.ended
"""

FAILING = """
from pizza import assistant


async def test_a_caller_learns_that_we_are_closed(rehearse):
    async with rehearse(assistant) as call:
        await call.says("are you open on Monday?")
        await call.listens()
        assert call.heard("On Monday we are closed")
"""

SAVED = '''
"""The call in call.jsonl, as a test."""

pytest_plugins = ["offhook.testing.pytest_plugin"]


async def test_call(rehearse):
    call = await rehearse("../pizza.py").starts()
    await call.says("on sunday")
    await call.says("the address")
    await call.says("goodbye")
    await call.listens()
    assert call.heard == [
        "Pizza Roma. What would you like to know?",
        "On Sunday we are open from five to ten.",
        "We are at twelve Harbour Street.",
        "See you soon!",
    ]
    assert call.ended
'''

TELEPHONE = """
import soundfile
import soxr

sound, rate = soundfile.read("call.wav")
soundfile.write("caller.wav", soxr.resample(sound[:, 0], rate, 8000), 8000, subtype="PCM_16")
"""

ALONE = ("-p", "no:asyncio", "-p", "no:anyio", "-p", "no:cacheprovider")


@pytest.fixture
def folder(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(pizza=PIZZA, conftest='pytest_plugins = ["offhook.testing.pytest_plugin"]\n')
    return pytester


def test_the_tests_pass_in_memory_and_with_sound(folder: pytest.Pytester) -> None:
    folder.makepyfile(test_pizza=TESTS)
    folder.runpytest_subprocess(*ALONE).assert_outcomes(passed=2)


def test_the_failing_one_says_what_was_heard_and_shows_the_call(folder: pytest.Pytester) -> None:
    folder.makepyfile(test_monday=FAILING)
    result = folder.runpytest_subprocess(*ALONE)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*where False = ?'Pizza Roma. What would you like to know?', 'Say: on Sunday*('On Monday we are closed')",
            "*rehearsed call 1*",
            "*final 'are you open on Monday?'",
            "*app: speak 'Say: on Sunday, or: the address, or: goodbye.'",
        ]
    )


def test_the_call_that_became_a_test_passes(folder: pytest.Pytester) -> None:
    saved = folder.mkdir("tests") / "test_call.py"
    saved.write_text(SAVED, encoding="utf-8")
    folder.runpytest_subprocess(*ALONE).assert_outcomes(passed=1)


def test_the_callers_side_of_a_recording_is_a_microphone_of_8_khz(folder: pytest.Pytester) -> None:
    both = np.stack([np.full(16_000, 0.5), np.full(16_000, -0.25)], axis=1)
    soundfile.write(folder.path / "call.wav", both, 16_000)
    folder.runpython(folder.makepyfile(telephone=TELEPHONE))
    microphone, rate = soundfile.read(folder.path / "caller.wav")
    assert rate == 8_000
    assert np.allclose(microphone[1_000:-1_000], 0.5, atol=0.01)
