"""What callers hear while a transfer rings: a country's tone, or the flow's own loop (contract D15)."""

from pathlib import Path

import numpy as np
import pytest

from offhook.audio.ringing_tone import ringing_tone
from offhook.audio.wav import wav_bytes
from offhook.errors import SettingsInvalid
from offhook.service.settings import Flow
from offhook.service.while_it_rings import while_it_rings


def flow(**more: object) -> Flow:
    return Flow.model_validate({"id": "desk", "app": "http://localhost:3000/", **more})


def test_without_a_loop_it_is_the_tone_of_the_flow_s_country_when_it_rings() -> None:
    heard = while_it_rings(flow(default_country="GB"))
    assert not heard.at_once
    assert np.array_equal(heard.samples(16000), ringing_tone("GB", 16000))
    assert np.array_equal(while_it_rings(flow()).samples(8000), ringing_tone(None, 8000))


def test_a_loop_of_the_flow_begins_at_once_at_every_rate(tmp_path: Path) -> None:
    file = tmp_path / "music.wav"
    file.write_bytes(wav_bytes(np.full(16000, 1000, np.int16), 16000))
    heard = while_it_rings(flow(transfer_loop=str(file)))
    assert heard.at_once
    assert len(heard.samples(16000)) == 16000
    assert abs(len(heard.samples(8000)) - 8000) <= 1


def test_a_loop_that_cannot_be_read_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"flow\[desk\]\.transfer_loop.*cannot be read"):
        while_it_rings(flow(transfer_loop=str(tmp_path / "nothing.wav")))
    (tmp_path / "text.wav").write_text("la la la")
    with pytest.raises(SettingsInvalid, match=r"flow\[desk\]\.transfer_loop"):
        while_it_rings(flow(transfer_loop=str(tmp_path / "text.wav")))
