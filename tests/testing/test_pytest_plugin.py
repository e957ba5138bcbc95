"""A failed test shows the call that it rehearsed."""

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
