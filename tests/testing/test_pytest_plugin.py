"""A failed test shows the call that it rehearsed."""

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

FAILING = """
from offhook import Assistant

pytest_plugins = ["offhook.testing.pytest_plugin"]

async def test_the_greeting(rehearse):
    call = rehearse(Assistant(on_session_start=lambda event: "Welcome"))
    await call.starts()
    assert call.heard == ["Good morning"]
"""


def test_the_timeline_is_part_of_the_failure(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(FAILING)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*rehearsed call 1*", "*app: speak 'Welcome'*"])


STUCK = """
from offhook import Assistant, Hangup

pytest_plugins = ["offhook.testing.pytest_plugin"]

async def test_who_talks_to_nobody(rehearse):
    call = await rehearse(Assistant(on_session_start=lambda event: Hangup())).starts()
    await call.says("hello")
"""


def test_a_timeline_that_the_failure_shows_itself_is_shown_once(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(STUCK)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*app: hangup*"])
    result.stdout.no_fnmatch_line("*rehearsed call 1*")
    result.stdout.no_fnmatch_line("*rehearsal.py*")


PASSING = """
import pytest
from offhook import Assistant

pytest_plugins = ["offhook.testing.pytest_plugin"]

@pytest.fixture
def assistant():
    return Assistant(on_session_start=lambda event: "Welcome")

async def test_the_greeting(rehearse, assistant):
    call = await rehearse(assistant).starts()
    assert call.heard == ["Welcome"]

class TestDesk:
    @pytest.mark.parametrize("words", ["hello", "bye"])
    async def test_what_is_said(self, words, rehearse, assistant):
        call = await rehearse(assistant).starts()
        await call.says(words)

def test_nothing_async(rehearse):
    assert rehearse
"""


@pytest.mark.parametrize(
    "options", [("-p", "no:asyncio", "-p", "no:anyio"), ("-p", "no:anyio")], ids=["alone", "strict"]
)
def test_async_tests_that_rehearse_run_without_settings(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    pytester.makepyfile(PASSING)
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=4)


TELEPHONE = """
from offhook import Assistant

pytest_plugins = ["offhook.testing.pytest_plugin"]

async def test_the_greeting_by_telephone(phone_call):
    async with phone_call(Assistant(on_session_start=lambda event: "Welcome")) as call:
        assert call.heard == ["Welcome"]
"""


def test_a_phone_call_runs_without_another_plugin(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TELEPHONE)
    pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:anyio").assert_outcomes(passed=1)


def test_the_timeline_is_shown_without_another_plugin_too(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FAILING)
    result = pytester.runpytest_subprocess("-p", "no:asyncio")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*rehearsed call 1*", "*app: speak 'Welcome'*"])


def test_the_example_in_write_an_app_runs_as_it_stands_there(pytester: pytest.Pytester) -> None:
    page = (Path(__file__).parents[2] / "docs" / "write-an-app" / "README.md").read_text(encoding="utf-8")
    app, *others = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    files = {found[1]: block for block in others if (found := re.match(r"# (\w+\.py)\n", block))}
    assert files.keys() == {"conftest.py", "test_my_app.py"}
    for name, content in {"my_app.py": app, **files}.items():
        (pytester.path / name).write_text(content, encoding="utf-8")
    pytester.runpytest_subprocess("-p", "no:asyncio", "-p", "no:anyio").assert_outcomes(passed=2)
