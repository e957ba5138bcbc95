"""The fixtures `rehearse` and `phone_call`: calls whose timeline is printed when their test fails.

In a `conftest.py`: `pytest_plugins = ["offhook.testing.pytest_plugin"]`. Then:

```python
async def test_the_greeting(rehearse):
    call = rehearse(assistant)
    await call.starts()
    assert call.heard == ["Welcome"]
```

An async test that asks for one of them runs without any other plugin; where pytest-asyncio or anyio takes it, it is
theirs.
"""

import asyncio
import inspect
from collections.abc import Callable, Generator
from typing import Any

import pytest

from offhook.sdk.assistant import Assistant
from offhook.testing.app_of_test import app_of_test
from offhook.testing.phone_call import PhoneCall
from offhook.testing.played_call import PlayedCall
from offhook.testing.rehearsal import Rehearsal

_FIXTURES = {"rehearse", "phone_call"}
_CALLS: pytest.StashKey[list[PlayedCall]] = pytest.StashKey()


def _calls_of(item: pytest.Item) -> list[PlayedCall]:
    none: list[PlayedCall] = []
    return item.stash.get(_CALLS, none)


@pytest.fixture
def rehearse(request: pytest.FixtureRequest) -> Callable[..., Rehearsal]:
    """Makes rehearsals; takes what `Rehearsal` takes, and in the place of an assistant the file that it is in, from the
    test's folder on (`rehearse("../my_app.py")`): it is loaded afresh."""
    calls = request.node.stash.setdefault(_CALLS, [])

    def make(app: Assistant | str, *arguments: Any, **options: Any) -> Rehearsal:
        call = Rehearsal(app_of_test(app, request.path.parent), *arguments, **options)
        calls.append(call)
        return call

    return make


@pytest.fixture
def phone_call(request: pytest.FixtureRequest) -> Callable[..., PhoneCall]:
    """Makes calls through a whole service (`async with phone_call(assistant) as call`); takes what `PhoneCall` takes,
    and the app as `rehearse` does. Needs `offhook[server]`."""
    calls = request.node.stash.setdefault(_CALLS, [])

    def make(app: Assistant | str, **options: Any) -> PhoneCall:
        call = PhoneCall(app_of_test(app, request.path.parent), **options)
        calls.append(call)
        return call

    return make


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test with such a call, when no other plugin has made it one that can be called."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test) or not _FIXTURES & set(pyfuncitem.fixturenames):
        return None
    asyncio.run(test(**{name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test's report holds its calls, but those that the failure shows by itself."""
    report = yield
    if report.failed and call.excinfo is not None:
        shown = "".join(getattr(call.excinfo.value, "__notes__", ()))
        for number, played in enumerate(_calls_of(item), 1):
            if played.timeline not in shown:
                report.sections.append((f"{played.size} {number}", played.timeline))
    return report
