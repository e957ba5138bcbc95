"""`import offhook` brings in pydantic and the standard library, and says nothing (ARCHITECTURE.md, principle 6)."""

import importlib.metadata
import subprocess
import sys

import pytest

import offhook

ALLOWED = {"offhook", "pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}

LIST_THE_REST = """
import sys
before = set(sys.modules)
import offhook
for name in offhook.__all__:
    getattr(offhook, name)
found = {name.split(".")[0] for name in set(sys.modules) - before}
print(*sorted(name for name in found - set(sys.stdlib_module_names) if not name.startswith("_sysconfigdata")))
"""


def test_only_pydantic_and_the_standard_library_are_loaded_and_nothing_is_printed() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LIST_THE_REST], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) <= ALLOWED
    assert done.stderr == ""


def test_import_alone_is_silent_and_loads_no_part_of_the_sdk() -> None:
    code = "import sys, offhook; assert not {'pydantic', 'asyncio', 'offhook.sdk'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def test_frameworks_voices_and_redis_are_loaded_only_by_those_who_use_them() -> None:
    code = (
        "import sys, offhook; offhook.Assistant(); offhook.RedisStates; offhook.stream_sentences; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {"offhook.voices", "redis", "rich", "flask", "django", "aiohttp", "starlette", "websockets"} & loaded
    assert "http.server" not in loaded


MODELS_ARE_BUILT = """
import asyncio, sys
from offhook import Assistant, Speak
assert not {"urllib.request", "importlib.metadata", "html"} & set(sys.modules), "loaded by those who need them"
from offhook.protocol.json_codec import ACTION_TYPES, EVENT_TYPES
models = [*EVENT_TYPES.values(), *ACTION_TYPES.values()]
print(sum(model.__pydantic_complete__ for model in models), end=" ")
messages = iter(["lifespan.startup", "lifespan.shutdown"])
async def receive():
    return {"type": next(messages)}
async def send(message):
    print(sum(model.__pydantic_complete__ for model in models) == len(models), end=" ")
asyncio.run(Assistant(token="t")({"type": "lifespan"}, receive, send))
"""


def test_values_on_the_wire_are_built_when_serving_begins_and_not_by_the_import() -> None:
    done = subprocess.run([sys.executable, "-c", MODELS_ARE_BUILT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "True", "True"]


def test_every_public_name_is_there_and_no_other() -> None:
    assert sorted(offhook.__all__) == sorted(set(offhook.__all__))
    assert all(getattr(offhook, name) is not None for name in offhook.__all__)
    assert set(offhook.__all__) <= set(dir(offhook))
    with pytest.raises(AttributeError, match="Asistant"):
        offhook.Asistant  # noqa: B018  # the lookup is the test


def test_the_version_is_that_of_the_installed_package_and_read_only_when_asked_for() -> None:
    assert offhook.__version__ == importlib.metadata.version("offhook")
    assert "__version__" in dir(offhook)
    assert "__version__" not in offhook.__all__, "a star import brings the names of the SDK alone"
    asked = subprocess.run(
        [sys.executable, "-c", "import offhook, sys; print('importlib.metadata' in sys.modules)"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert asked.stdout == "False\n"
