"""The command line: what is asked for, and what it says when that cannot be done."""

import subprocess
import sys
from pathlib import Path

import pytest

from offhook import cli
from offhook.service.commands.options import CallOptions, ChatOptions, CheckOptions, DemoOptions, DevOptions

COMMANDS = ("demo", "dev", "chat", "call", "serve", "check", "replay")


def parsed(*arguments: str) -> object:
    namespace = cli._parser().parse_args(arguments)
    return namespace.options(namespace)


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as end:
            cli.main([command, "--help"])
        assert end.value.code == 0
        assert f"offhook {command}" in capsys.readouterr().out


def test_it_knows_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out.startswith("offhook ")


def test_the_turns_of_a_call_keep_their_order() -> None:
    options = parsed("call", "my_app.py", "--say", "hello", "--wav", "a.wav", "--say", "bye", "--record", "out.wav")
    assert options == CallOptions("my_app.py", ("hello", Path("a.wav"), "bye"), Path("out.wav"), None)


def test_the_defaults_of_the_commands() -> None:
    demo = parsed("demo")
    assert isinstance(demo, DemoOptions)
    assert demo.sip == cli.SIP_LISTEN
    assert not demo.once
    assert parsed("check", "--running") == CheckOptions(Path("offhook.toml"), bind=False)
    chat = parsed("chat", "http://localhost:3000/")
    assert isinstance(chat, ChatOptions)
    assert chat.app == "http://localhost:3000/"


def test_places_to_listen_replace_the_default() -> None:
    options = parsed("dev", "a.py", "--sip", "udp:127.0.0.1:0", "--no-reload", "--allow-from", "10.0.0.0/8")
    assert options == DevOptions("a.py", False, ("udp:127.0.0.1:0",), cli.HTTP_LISTEN, ("10.0.0.0/8",))


def test_a_failure_is_said_with_its_remedy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["check", "-c", str(tmp_path / "none.toml")]) == cli.EXIT_FAILED
    said = capsys.readouterr()
    assert "none.toml" in said.err + said.out
    assert "offhook.example.toml" in said.err + said.out


# Runs the command line in an interpreter in which a part of the server extra cannot be found.
WITHOUT = """
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {missing!r} else self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)
sys.meta_path = [Without(finder) for finder in sys.meta_path]
from offhook.cli import main
sys.exit(main({arguments!r}))
"""
VOICE = {"espeakng_loader"}
SERVER = VOICE | {
    "aiohttp", "fastapi", "numpy", "orjson", "pocketsphinx", "sipmessage", "soundfile", "soxr", "structlog", "uvicorn",
    "uvloop", "starlette",
}  # fmt: skip


def without_server(*arguments: str, answers: str = "") -> subprocess.CompletedProcess[str]:
    return without(SERVER, *arguments, answers=answers)


def without(missing: set[str], *arguments: str, answers: str = "") -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(missing=missing, arguments=list(arguments))
    return subprocess.run(
        [sys.executable, "-c", code], input=answers, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("arguments", [("serve",), ("check",)], ids=lambda a: a[0])
def test_a_command_whose_extra_is_missing_names_the_extra(arguments: tuple[str, ...]) -> None:
    run = without_server(*arguments)
    assert run.returncode == cli.EXIT_FAILED
    assert "pip install 'offhook[server]'" in run.stderr


SPEAKING = [("demo", "--once"), ("dev", "app.py"), ("call", "app.py")]


@pytest.mark.parametrize("arguments", SPEAKING, ids=lambda a: a[0])
def test_a_command_that_speaks_names_all_it_needs_at_once(arguments: tuple[str, ...]) -> None:
    run = without_server(*arguments)
    assert run.returncode == cli.EXIT_FAILED
    assert "pip install 'offhook[server,espeak]'" in run.stderr


@pytest.mark.parametrize("arguments", SPEAKING, ids=lambda a: a[0])
def test_without_the_voice_alone_only_the_voice_is_asked_for(arguments: tuple[str, ...]) -> None:
    run = without(VOICE, *arguments)
    assert run.returncode == cli.EXIT_FAILED
    assert run.stderr.splitlines() == [
        f"offhook {arguments[0]}: offhook {arguments[0]} needs the extra 'espeak', which is not installed.",
        "Remedy: pip install 'offhook[espeak]'",
    ]


def test_help_needs_only_the_sdk() -> None:
    assert without_server("--help").returncode == 0


def test_chat_needs_only_the_sdk(tmp_path: Path) -> None:
    app = tmp_path / "my_app.py"
    app.write_text(
        "from offhook import Assistant\nassistant = Assistant(on_user_speak=lambda event: f'You said {event.text}')\n"
    )
    run = without_server("chat", str(app), answers="hello\n")
    assert run.returncode == 0, run.stderr
    assert "assistant> You said hello" in run.stdout
