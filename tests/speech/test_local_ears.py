"""Ears with a model on this machine, each with the smallest that its engine loads."""

import os
import signal
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from offhook.errors import ProviderFailed
from offhook.speech.sherpa_process import model_file
from offhook.speech.transcriber import (
    EarFailed,
    EarNoted,
    Heard,
    Samples,
    TranscriberStream,
    TranscriptionSettings,
    WordsHeard,
)
from offhook.speech.transcribers.local_model import LocalEarSettings, LocalEngine, LocalTranscriber
from tests.speech.tiny_models import PIECES, STAND_INS, conformer_ctc, streaming_transducer, vosk_folder

MODELS: dict[LocalEngine, Callable[[Path], Path]] = {
    "sherpa-onnx": streaming_transducer,
    "onnx-asr": conformer_ctc,
    "vosk": vosk_folder,
}
RATE = 8000


def voice(milliseconds: int) -> Samples:
    at = np.arange(RATE * milliseconds // 1000) / RATE
    wave = sum(np.sin(2 * np.pi * 120 * n * at) / n for n in range(1, 20)) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * at))
    return (wave * 4000).astype(np.int16)


def silence(milliseconds: int) -> Samples:
    return np.zeros(RATE * milliseconds // 1000, np.int16)


@pytest.fixture(params=list(MODELS))
def engine(request: pytest.FixtureRequest) -> LocalEngine:
    found: LocalEngine = request.param
    return found


@pytest.fixture
async def ear(engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalTranscriber]:
    monkeypatch.setenv("PYTHONPATH", str(STAND_INS), prepend=os.pathsep)
    made = LocalTranscriber(LocalEarSettings("mine", engine, MODELS[engine](tmp_path)))
    await made.start()
    yield made
    await made.stop()


def hear(stream: TranscriberStream, turn: int, samples: Samples) -> None:
    for start in range(0, len(samples), RATE // 10):
        stream.hear(turn, samples[start : start + RATE // 10])


async def until_final(stream: TranscriberStream) -> list[Heard]:
    heard: list[Heard] = []
    async for item in stream.heard():
        assert not isinstance(item, EarNoted), item
        heard.append(item)
        if isinstance(item, EarFailed) or item.final:
            break
    return heard


async def test_words_come_while_the_caller_speaks(ear: LocalTranscriber) -> None:
    """Contract section 4: `minimum_characters` interrupts on the words recognised so far."""
    stream = ear.open(TranscriptionSettings(rate=RATE))
    stream.begin_turn(1)
    stream.hear(1, voice(900))

    async for first in stream.heard():
        assert isinstance(first, WordsHeard)
        assert first.text
        assert not first.final
        break
    await stream.close()


async def test_final_words_have_times_within_the_turn(ear: LocalTranscriber) -> None:
    stream = ear.open(TranscriptionSettings(rate=RATE, languages=("de-DE",), custom_vocabulary=("hello world",)))
    stream.begin_turn(1)
    hear(stream, 1, np.concatenate([silence(300), voice(900), silence(300)]))
    stream.finish_turn(1)

    final = (await until_final(stream))[-1]

    assert isinstance(final, WordsHeard)
    assert final.text == " ".join(word.text for word in final.words)
    assert final.confidence is not None
    assert 0 < final.confidence <= 1
    assert all(0 <= word.start_ms < word.end_ms <= 1750 for word in final.words)
    assert [word.start_ms for word in final.words] == sorted(word.start_ms for word in final.words)
    await stream.close()


async def test_callers_who_speak_at_once_are_all_heard(ear: LocalTranscriber) -> None:
    streams = [ear.open(TranscriptionSettings(rate=RATE)) for _ in range(3)]
    for stream in streams:
        stream.begin_turn(1)
        hear(stream, 1, voice(700))
        stream.finish_turn(1)

    finals = [(await until_final(stream))[-1] for stream in streams]

    assert len({final.text for final in finals if isinstance(final, WordsHeard)}) == 1
    for stream in streams:
        await stream.close()


async def test_a_killed_worker_fails_its_turns_and_comes_back(ear: LocalTranscriber) -> None:
    stream = ear.open(TranscriptionSettings(rate=RATE))
    stream.begin_turn(1)
    (first,) = ear.pids
    os.kill(first, signal.SIGKILL)

    (failed,) = await until_final(stream)
    stream.begin_turn(2)
    hear(stream, 2, silence(400))
    stream.finish_turn(2)
    heard = await until_final(stream)

    assert isinstance(failed, EarFailed)
    assert [(item.turn, item.text) for item in heard if isinstance(item, WordsHeard)] == [(2, "")]
    await stream.close()


async def test_a_check_loads_the_model_and_lets_it_go(ear: LocalTranscriber, engine: LocalEngine) -> None:
    (pid,) = ear.pids
    assert engine in await ear.check()
    assert ear.pids == [pid]

    await ear.stop()

    assert engine in await ear.check()
    assert ear.pids == []


async def test_a_folder_without_a_model_says_what_to_do(engine: LocalEngine, tmp_path: Path) -> None:
    ear = LocalTranscriber(LocalEarSettings("mine", engine, tmp_path))

    with pytest.raises(ProviderFailed, match=str(tmp_path)) as refusal:
        await ear.start()

    assert "folder of such a model" in refusal.value.remedy or "sherpa-onnx model" in refusal.value.remedy


async def test_a_folder_that_is_not_there_says_how_to_get_a_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ProviderFailed, match=r"There is no folder .*none.*offhook models pull"):
        await LocalTranscriber(LocalEarSettings("mine", "vosk", tmp_path / "none")).start()

    assert not caplog.messages


async def test_a_worker_that_is_refused_later_says_why_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    ear = LocalTranscriber(LocalEarSettings("mine", "sherpa-onnx", streaming_transducer(folder)))
    await ear.start()
    stream = ear.open(TranscriptionSettings(rate=RATE))
    folder.rename(tmp_path / "gone")
    os.kill(ear.pids[0], signal.SIGKILL)
    while not any("There is no folder" in message for message in caplog.messages):
        stream.begin_turn(1)
        await anext(stream.heard())

    await stream.close()
    await ear.stop()


async def test_what_vosk_cannot_load_is_refused_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "vosk.py").write_text(
        "import os\ndef SetLogLevel(level): pass\n"
        "def Model(path):\n    os.write(2, b'ERROR bad header\\n')\n    raise Exception('Failed to create a model')\n"
    )
    (tmp_path / "final.mdl").touch()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)

    with pytest.raises(ProviderFailed, match=f"cannot load {tmp_path}: ERROR bad header"):
        await LocalTranscriber(LocalEarSettings("mine", "vosk", tmp_path)).start()

    assert capfd.readouterr().err == ""


async def test_a_model_that_is_none_is_refused(tmp_path: Path) -> None:
    conformer_ctc(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"half a download")

    with pytest.raises(ProviderFailed, match="cannot load"):
        await LocalTranscriber(LocalEarSettings("mine", "onnx-asr", tmp_path)).start()


class TestSherpaOnnx:
    async def test_words_of_models_in_capitals_are_written_small(self, tmp_path: Path) -> None:
        pieces = tuple(piece if piece.startswith("<") else piece.upper() for piece in PIECES)
        ear = LocalTranscriber(LocalEarSettings("mine", "sherpa-onnx", streaming_transducer(tmp_path, pieces)))
        await ear.start()
        stream = ear.open(TranscriptionSettings(rate=RATE))
        stream.begin_turn(1)
        hear(stream, 1, voice(500))
        stream.finish_turn(1)

        heard = await until_final(stream)

        assert {item.text for item in heard if isinstance(item, WordsHeard)} >= {"hello world"}
        await ear.stop()

    async def test_a_vocabulary_counts_where_the_model_can_spell_it(self, tmp_path: Path) -> None:
        """Contract D13."""
        streaming_transducer(tmp_path)
        (tmp_path / "bpe.vocab").write_text("".join(f"{piece}\t-1\n" for piece in PIECES), encoding="utf-8")
        ear = LocalTranscriber(LocalEarSettings("mine", "sherpa-onnx", tmp_path))
        await ear.start()
        for vocabulary in ((), ("hello world", "hello")):
            stream = ear.open(TranscriptionSettings(rate=RATE, custom_vocabulary=vocabulary))
            stream.begin_turn(1)
            hear(stream, 1, voice(300))
            stream.finish_turn(1)

            final = (await until_final(stream))[-1]

            assert isinstance(final, WordsHeard), final
            assert final.text.startswith("hello world")
        await ear.stop()

    def test_of_several_files_the_quantised_one_is_taken(self, tmp_path: Path) -> None:
        for name in ("encoder-epoch-99-avg-1.onnx", "encoder-epoch-99-avg-1.int8.onnx"):
            (tmp_path / name).touch()

        assert model_file(tmp_path, "encoder").name == "encoder-epoch-99-avg-1.int8.onnx"


class TestVosk:
    async def test_what_it_cut_itself_is_one_turn(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """D40: turns are ours."""
        monkeypatch.setenv("PYTHONPATH", str(STAND_INS), prepend=os.pathsep)
        ear = LocalTranscriber(LocalEarSettings("mine", "vosk", vosk_folder(tmp_path)))
        await ear.start()
        stream = ear.open(TranscriptionSettings(rate=RATE))
        stream.begin_turn(1)
        hear(stream, 1, np.concatenate([voice(500), silence(700), voice(500)]))
        stream.finish_turn(1)

        heard = await until_final(stream)

        texts = [item.text for item in heard if isinstance(item, WordsHeard)]
        assert texts[-1] == "eins zwei drei vier"
        assert all(later.startswith(before) for before, later in pairwise(texts))
        await ear.stop()
