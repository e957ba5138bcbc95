"""`offhook models`, as somebody sees it."""

import io
from pathlib import Path

import pytest

from offhook.cli import main
from offhook.errors import SettingsInvalid
from offhook.service.commands.models import run
from offhook.service.commands.options import ModelsOptions
from offhook.service.commands.terminal import Terminal
from offhook.service.model_catalogue import CATALOGUE
from offhook.service.model_store import LOCK


def said(options: ModelsOptions) -> str:
    out = io.StringIO()
    assert run(options, Terminal(out)) == 0
    return out.getvalue()


def test_the_list_says_which_are_here(tmp_path: Path) -> None:
    (tmp_path / "vosk-de").mkdir()
    (tmp_path / "vosk-de" / LOCK).write_text("{}")

    lines = said(ModelsOptions((), tmp_path, Path("none.toml"))).splitlines()

    assert [line.split()[0] for line in lines[: len(CATALOGUE)]] == [model.name for model in CATALOGUE]
    assert {line.split()[0] for line in lines if " here " in line} == {"vosk-de"}
    assert all(model.licence in line for model, line in zip(CATALOGUE, lines, strict=False))
    assert lines[len(CATALOGUE)] == ""
    assert lines[-1].startswith("Get one: offhook models pull")


def test_the_folder_is_that_of_the_settings(tmp_path: Path) -> None:
    config = tmp_path / "offhook.toml"
    config.write_text(f'[speech]\nmodels = "{tmp_path}/mine"\n')

    assert f"{tmp_path}/mine" in said(ModelsOptions((), None, config))


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid) as unknown:
        run(ModelsOptions(("sherpa-xx",), tmp_path, Path("none.toml")), Terminal(io.StringIO()))

    assert "sherpa-en" in unknown.value.remedy


def test_the_command_line_lists(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["models", "list", "--folder", str(tmp_path)]) == 0
    assert "parakeet-v3" in capsys.readouterr().out
