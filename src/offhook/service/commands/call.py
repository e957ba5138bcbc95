"""`offhook call`: one spoken call to an app, from WAV files and texts, shown as it goes."""

import asyncio
import tempfile
from pathlib import Path

from offhook.calls.timeline import Timeline
from offhook.errors import OffhookError, SettingsInvalid
from offhook.protocol.session import Session
from offhook.service.app_process import RunningApp, running_app
from offhook.service.commands.options import CallOptions
from offhook.service.commands.terminal import Terminal
from offhook.service.event_loop import run_in_loop
from offhook.service.log_setup import set_up
from offhook.service.settings import Logging, Settings
from offhook.service.settings_file import from_tree
from offhook.service.spoken_call import Keep, SpokenTexts, place_call
from offhook.service.wiring import EMBEDDED_VOICE, open_house
from offhook.transports.simulator.listener import SimulatorListener
from offhook.transports.simulator.steps import Say, SayText, polite_talk, say_wav


def run(options: CallOptions, terminal: Terminal) -> int:
    """Place the call; 0 when it was taken. Raises OffhookError."""
    set_up(Logging(level="warning"))
    turns = [_turn(turn) for turn in options.turns]
    run_in_loop(_call(options, turns, terminal))
    return 0


def _turn(turn: Path | str) -> Say | SayText:
    if isinstance(turn, str):
        return SayText(turn)
    try:
        return say_wav(turn.read_bytes())
    except OSError as error:
        raise SettingsInvalid(f"{turn} cannot be read: {error.strerror}.", remedy="Name a WAV file.") from error
    except OffhookError as error:
        raise SettingsInvalid(f"{turn}: {error.message}", remedy=error.remedy) from error


def call_settings(app: RunningApp, logs: Path) -> Settings:
    """Settings for one simulated call: no SIP, one flow."""
    tree = {
        "sip": {"listen": []},
        "storage": {"call_logs": str(logs)},
        "flow": [{"id": "call", "app": app.url, "token": app.token, "numbers": ["*"]}],
    }
    return from_tree(tree, {}, source="the command line")


async def _call(options: CallOptions, turns: list[Say | SayText], terminal: Terminal) -> None:
    sessions: list[str] = []

    def watch(session: Session) -> Timeline:
        sessions.append(session.id)
        return Timeline(terminal.line)

    with tempfile.TemporaryDirectory(prefix="offhook-call-") as logs:
        async with running_app(options.app, reload=False, token=options.token) as app:
            async with open_house(call_settings(app, Path(logs)), watch=watch) as house:
                simulator = SimulatorListener(SpokenTexts(house.engines.voices[EMBEDDED_VOICE]))
                await simulator.start()
                async with asyncio.TaskGroup() as tasks:
                    register = tasks.create_task(house.register.run([simulator]))
                    keep = Keep(options.record, options.log)
                    await place_call(house, simulator, polite_talk(turns), keep, sessions=sessions)
                    await simulator.stop()
                    register.cancel()
    for path in (options.record, options.log):
        if path is not None:
            terminal.line(f"written: {path}")
