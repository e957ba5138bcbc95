"""The app that a test names by its file: loaded afresh, so that no test sees what another one left in it."""

from pathlib import Path

from offhook.errors import SettingsInvalid
from offhook.sdk.assistant import Assistant


def app_of_test(app: Assistant | str, folder: Path) -> Assistant:
    """The assistant itself, or that of a file (`../my_app.py`, `my_app.py:name`; from `folder` on) or of a module
    (`package.module:name`).

    Raises:
        SettingsInvalid: there is no such file, module or name, or it is no Assistant.
    """
    from offhook.service.app_loader import load_app

    if isinstance(app, Assistant):
        return app
    is_file = app.endswith(".py") or ".py:" in app
    loaded = load_app(str(folder / app) if is_file else app)
    if not isinstance(loaded, Assistant):
        raise SettingsInvalid(
            f"{app} is a {type(loaded).__name__}, not an Assistant.",
            remedy="Name the Assistant (my_app.py:assistant).",
            code="app_unusable",
        )
    return loaded
