"""The developer's app from the command line: `my_app.py`, `my_app.py:assistant`, `package.module:assistant`."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from offhook.errors import SettingsInvalid

USUAL_NAMES: Final = ("assistant", "app", "application")
_REMEDY: Final = "Give a file (my_app.py), a file and a name (my_app.py:assistant), package.module:name, or a URL."


def is_url(app: str) -> bool:
    """Whether the app runs elsewhere and is reached over HTTP or a WebSocket."""
    return app.lower().startswith(("http://", "https://", "ws://", "wss://"))


def load_app(app: str) -> object:
    """The object that the app is. What the app's own code raises while it is imported comes through as it is.

    Raises SettingsInvalid when there is no such file, module or name.
    """
    where, name = _split(app)
    module = _module_of(where)
    if name is not None:
        if not hasattr(module, name):
            raise SettingsInvalid(
                f"{where} has no '{name}'.",
                remedy=f"It has: {_public(module)}.",
                code="app_not_found",
            )
        return getattr(module, name)
    for usual in USUAL_NAMES:
        if hasattr(module, usual):
            return getattr(module, usual)
    raise SettingsInvalid(
        f"{where} has none of {', '.join(USUAL_NAMES)}.",
        remedy=f"Name the object: {where}:NAME. It has: {_public(module)}.",
        code="app_not_found",
    )


def _split(app: str) -> tuple[str, str | None]:
    where, colon, name = app.rpartition(":")
    if not colon or not name.isidentifier():
        return app, None
    return where, name


def _module_of(where: str) -> ModuleType:
    path = Path(where)
    if where.endswith(".py") or path.exists():
        return _file(path)
    if where.startswith(("sip:", "sips:", "tel:")):
        raise SettingsInvalid(
            f"'{where}' is an address for a telephone; what is wanted here is an app.",
            remedy=f"{_REMEDY} A service that runs is called with a softphone.",
            code="app_not_found",
        )
    if not all(part.isidentifier() for part in where.split(".")):
        raise SettingsInvalid(f"'{where}' is no file and no module.", remedy=_REMEDY, code="app_not_found")
    sys.path.insert(0, str(Path.cwd()))
    try:
        if importlib.util.find_spec(where.partition(".")[0]) is None:
            raise SettingsInvalid(f"There is no module '{where}' here.", remedy=_REMEDY, code="app_not_found")
        return importlib.import_module(where)
    finally:
        sys.path.remove(str(Path.cwd()))


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        raise SettingsInvalid(f"There is no file {path}.", remedy=_REMEDY, code="app_not_found")
    # Files beside the app are its own modules, as when it is run by itself.
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None, "a .py file always has a loader"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _public(module: ModuleType) -> str:
    values = vars(module).items()
    names = [name for name, value in values if not name.startswith("_") and not isinstance(value, ModuleType)]
    return ", ".join(sorted(names)) or "nothing"
