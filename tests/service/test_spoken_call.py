"""What is kept of a spoken call."""

from pathlib import Path

import pytest

from offhook.errors import SettingsInvalid
from offhook.service.spoken_call import Keep


def test_a_file_that_cannot_be_written_is_said_before_the_call(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be written: No such file"):
        Keep(tmp_path / "none" / "call.wav", None).check()
    with pytest.raises(SettingsInvalid, match="cannot be written: Is a directory"):
        Keep(None, tmp_path).check()


def test_the_check_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "old.jsonl").write_text("kept")
    Keep(tmp_path / "new.wav", tmp_path / "old.jsonl").check()
    assert [file.name for file in tmp_path.iterdir()] == ["old.jsonl"]
    assert (tmp_path / "old.jsonl").read_text() == "kept"
