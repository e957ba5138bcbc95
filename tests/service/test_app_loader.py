"""The developer's app from the command line."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from offhook.errors import SettingsInvalid
from offhook.service.app_loader import is_url, load_app


@pytest.fixture(autouse=True)
def _clean_imports() -> Iterator[None]:
    path, modules = sys.path[:], set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def app_file(tmp_path: Path) -> Path:
    (tmp_path / "words_of_app.py").write_text("GREETING = 'hello'\n")
    file = tmp_path / "my_app.py"
    file.write_text("from words_of_app import GREETING\nassistant = GREETING\nother = 'other'\n")
    return file


def test_a_file_is_loaded_with_the_files_beside_it(app_file: Path) -> None:
    assert load_app(str(app_file)) == "hello"


def test_a_name_in_a_file_can_be_chosen(app_file: Path) -> None:
    assert load_app(f"{app_file}:other") == "other"


def test_a_module_is_found_from_the_working_folder(app_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(app_file.parent)
    assert load_app("my_app:other") == "other"
    assert load_app("my_app") == "hello"


@pytest.mark.parametrize("app", ["nowhere.py", "nowhere", "no.where:app", "not a module", "sip:me@host:5060"])
def test_what_is_not_there_is_explained(app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsInvalid) as refusal:
        load_app(app)
    assert "my_app.py:assistant" in refusal.value.remedy


def test_a_name_that_is_not_there_is_explained_with_those_that_are(app_file: Path) -> None:
    with pytest.raises(SettingsInvalid, match="GREETING, assistant, other"):
        load_app(f"{app_file}:asistant")


def test_a_file_without_a_usual_name_asks_for_one(tmp_path: Path) -> None:
    file = tmp_path / "bot.py"
    file.write_text("bot = 1\n")
    with pytest.raises(SettingsInvalid, match=r"bot\.py:NAME"):
        load_app(str(file))


def test_what_the_apps_code_raises_comes_through(tmp_path: Path) -> None:
    file = tmp_path / "broken_app.py"
    file.write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        load_app(str(file))


@pytest.mark.parametrize(
    ("app", "url"), [("http://localhost:3000/", True), ("WSS://x/", True), ("my_app.py", False), ("httpx", False)]
)
def test_a_url_is_an_app_that_runs_elsewhere(app: str, url: bool) -> None:
    assert is_url(app) is url
