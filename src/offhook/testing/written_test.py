"""A call written down as a pytest file: what the caller did, in the vocabulary of `Rehearsal`, and what was heard."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

from offhook.conversation.defaults import CallSettings, Fallback
from offhook.errors import OffhookError
from offhook.protocol.mistakes import WireValue
from offhook.protocol.session import Session
from offhook.sdk.assistant import Assistant
from offhook.testing.deeds import Deed, literal
from offhook.testing.rehearsal import Rehearsal

SHORTENED_ID: Final = 8


@dataclass(frozen=True, slots=True)
class Talk:
    """What is to be written down.

    `settings` are those of the call; they stand in the test only where the app answers otherwise without them.
    `heard` is what the caller heard, None when that does not matter. `about` is the first line of the file.
    """

    deeds: Sequence[Deed]
    settings: CallSettings
    about: str
    heard: Sequence[str] | None = None


async def does(call: Rehearsal, deeds: Sequence[Deed]) -> None:
    """Let the caller do all this, and hear the assistant out. What comes after the end of the call is left out."""
    await call.starts()
    for deed in deeds:
        if call.ended:
            return
        await getattr(call, deed.name)(*deed.given)
    if not call.ended and not call.bridged:
        await call.listens()


async def written_test(talk: Talk, load: Callable[[], Assistant], app: str, name: str) -> str:
    """The text of a test that passes against the app as it is now.

    Args:
        talk: what the caller did.
        load: gives the app afresh.
        app: the app as the test names it: a file from the test's folder on, or a module.
        name: of the test, without `test_`.

    Raises:
        OffhookError: `not_repeatable`: the app says something else when the caller does the same again; and what the
            app raises.
    """
    first = Rehearsal(load(), talk.settings)
    await does(first, talk.deeds)
    expected = list(first.heard)
    plain = Rehearsal(load())
    await does(plain, talk.deeds)
    settings = None if _same(plain, first) else talk.settings
    again = Rehearsal(load(), settings)
    await does(again, talk.deeds)
    if not _same(again, first) or (talk.heard is not None and expected[: len(talk.heard)] != list(talk.heard)):
        raise OffhookError(
            "The app does not say the same when the caller does the same again, so no test can expect what it says.",
            remedy="Give it a scripted model, a fixed time or a fixed seed where it is tested, and save the call then.",
            code="not_repeatable",
        )
    return "\n".join(_lines(talk, first, settings, app, name)) + "\n"


def _same(one: Rehearsal, other: Rehearsal) -> bool:
    return (one.heard, one.ended, one.transfers) == (other.heard, other.ended, other.transfers)


def _lines(talk: Talk, call: Rehearsal, settings: CallSettings | None, app: str, name: str) -> list[str]:
    lines = [f'"""{_in_docstring(talk.about)}"""', ""]
    if settings is not None:
        written = _settings(settings)
        lines += [*_imports(written), "", 'pytest_plugins = ["offhook.testing.pytest_plugin"]', "", *written]
    else:
        lines.append('pytest_plugins = ["offhook.testing.pytest_plugin"]')
    given = literal(app) if settings is None else f"{literal(app)}, SETTINGS"
    lines += ["", "", f"async def test_{name}(rehearse):", f"    call = await rehearse({given}).starts()"]
    lines += [f"    await call.{deed}" for deed in talk.deeds[: len(call.deeds)]]
    if len(call.deeds) > len(talk.deeds):
        lines.append("    await call.listens()")
    lines += ["    assert call.heard == [", *(f"        {literal(one)}," for one in call.heard), "    ]"]
    if call.transfer is not None:
        lines.append(f"    assert call.transferred_to({literal(call.transfer.target)})")
    if call.ended and not (call.deeds and call.deeds[-1].name == "hangs_up"):
        lines.append("    assert call.ended")
    return lines


def _in_docstring(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "'")


def _settings(settings: CallSettings) -> list[str]:
    """`SETTINGS = CallSettings(…)`, with what is not a default of the contract."""
    given = [(field.name, getattr(settings, field.name), field.default) for field in fields(settings)]
    return _constructed("SETTINGS = CallSettings", {name: value for name, value, usual in given if value != usual})


def _constructed(head: str, given: Mapping[str, object], indent: str = "", end: str = "") -> list[str]:
    """`head(name=value, …)end`, an argument a line."""
    lines = [f"{indent}{head}("]
    for name, value in given.items():
        if isinstance(value, WireValue | Fallback):
            of_it = dict(value) if isinstance(value, WireValue) else asdict(value)
            lines += _constructed(f"{name}={type(value).__name__}", of_it, f"{indent}    ", ",")
        else:
            lines.append(f"{indent}    {name}={literal(value)},")
    return [*lines, f"{indent}){end}"]


def _imports(written: Sequence[str]) -> list[str]:
    text = "\n".join(written)
    defaults = ["CallSettings", *(["Fallback"] if "Fallback(" in text else [])]
    lines = [f"from offhook.conversation.defaults import {', '.join(defaults)}"]
    lines.append("from offhook.protocol.session import Session")
    if "BargeInConfig(" in text:
        lines.append("from offhook.protocol.speech_options import BargeInConfig")
    return lines


# --- files


def name_of(stem: str, session: Session) -> str:
    """The name of a call's test: that of its log, or the beginning of its session's id where the log has just that."""
    if stem == session.id:
        stem = f"call_{stem[:SHORTENED_ID]}"
    return re.sub(r"\W+", "_", stem).strip("_").lower() or "call"


def file_for(where: Path, name: str) -> Path:
    """The test's file: `where` when that is one (`….py`), else a file of this name in that folder."""
    return where if where.suffix == ".py" else where / f"test_{name}.py"


def app_from(app: str, folder: Path) -> str:
    """The app as a test in this folder names it.

    Raises:
        OffhookError: `app_unusable`, for a URL.
    """
    if "://" in app:
        raise OffhookError(
            f"A test cannot be written of an app at {app}: it must be loaded afresh for each test.",
            remedy="Name the Assistant (my_app.py:assistant).",
            code="app_unusable",
        )
    file, colon, attribute = app.rpartition(":")
    if not colon or not attribute.isidentifier():
        file, colon, attribute = app, "", ""
    if not file.endswith(".py"):
        return app
    # Where the two have only the root in common, the way up and down again says nothing.
    target, start = Path(file).resolve(), folder.resolve()
    up = next(index for index, parent in enumerate((start, *start.parents)) if target.is_relative_to(parent))
    common = (start, *start.parents)[up]
    path = str(target) if common == Path(common.anchor) else "/".join([*[".."] * up, *target.relative_to(common).parts])
    return f"{path}{colon}{attribute}"


def refuse_existing(file: Path) -> None:
    """Raises OffhookError, `file_exists`, when there is such a file: better before the work than after it."""
    if file.exists():
        raise _exists(file)


def save(text: str, file: Path) -> None:
    """Write a new file; its folder is made.

    Raises:
        OffhookError: `file_exists`, `file_unwritable`.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError as error:
        raise _exists(file) from error
    except OSError as error:
        raise OffhookError(
            f"{file} cannot be written: {error.strerror}.",
            remedy="Name a file or a folder that you may write.",
            code="file_unwritable",
        ) from error


def _exists(file: Path) -> OffhookError:
    return OffhookError(
        f"{file} is there already.", remedy="Name another file, or move that one away.", code="file_exists"
    )
