"""The stand-in of Vosk has no name and no argument that Vosk's own package has not."""

import importlib.util
import inspect
from types import ModuleType

import vosk

from tests.speech.tiny_models import STAND_INS


def stand_in() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vosk_stand_in", STAND_INS / "vosk.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_names_and_arguments_are_those_of_vosk() -> None:
    ours = stand_in()

    assert list(inspect.signature(ours.SetLogLevel).parameters) == list(inspect.signature(vosk.SetLogLevel).parameters)
    for name in ("Model", "KaldiRecognizer"):
        ours_class, real = getattr(ours, name), getattr(vosk, name)
        for method in (method for method in vars(ours_class) if callable(vars(ours_class)[method])):
            mine, theirs = (inspect.signature(getattr(of, method)) for of in (ours_class, real))
            assert list(mine.parameters) == list(theirs.parameters), f"{name}.{method}"
