"""`offhook call`: one spoken call to an app, from WAV files and texts, shown as it goes."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from offhook.errors import OffhookError, SettingsInvalid
from offhook.service.app_loader import is_url
from offhook.service.app_process import RunningApp, answers, running_app
from offhook.service.commands.call_lines import CallLines
from offhook.service.commands.options import CallOptions
from offhook.service.commands.terminal import Terminal
from offhook.service.event_loop import run_in_loop
from offhook.service.log_setup import set_up
from offhook.service.own_engines import not_used, who_hears_and_speaks, with_engines_of
from offhook.service.practice_target import PracticeRoutes, PracticeTarget
from offhook.service.settings import Logging, Settings
from offhook.service.settings_file import from_tree
from offhook.service.speech_settings import EMBEDDED_VOICE
from offhook.service.spoken_call import Keep, SpokenTexts, place_call
from offhook.service.wiring import open_house
from offhook.transports.simulator.listener import SimulatorListener
from offhook.transports.simulator.steps import Say, SayText, Step, StepOutcome, WaitUntilQuiet, polite_talk, say_wav

SPEECH_AT_MOST_MS: Final = 180_000


def run(options: CallOptions, terminal: Terminal) -> int:
    """Place the call; 0 when every turn was said and the app was not given up. Raises OffhookError."""
    set_up(Logging(level="warning"))
    turns = [_turn(turn) for turn in options.turns]
    keep = Keep(options.record, options.log)
    keep.check()
    return run_in_loop(_call(options, turns, keep, terminal))


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


async def _call(options: CallOptions, turns: list[Say | SayText], keep: Keep, terminal: Terminal) -> int:
    calls = CallLines(terminal, number_from=2)
    script = polite_talk(turns, speech_at_most_ms=SPEECH_AT_MOST_MS)
    if is_url(options.app) and not await answers(options.app):
        terminal.line(f"Nothing answers at {options.app} yet: start the app.", "yellow")
    with tempfile.TemporaryDirectory(prefix="offhook-call-") as logs:
        async with running_app(options.app, reload=False, token=options.token) as app:
            settings = with_engines_of(call_settings(app, Path(logs)), options.config, options.flow)
            terminal.line(who_hears_and_speaks(settings.flows[0], settings), "grey")
            if (hint := not_used(options.config)) is not None:
                terminal.line(hint, "yellow")
            async with open_house(settings, watch=calls.watch, practice=PracticeRoutes()) as house:
                simulator = SimulatorListener(SpokenTexts(house.engines.voices[EMBEDDED_VOICE]))
                await simulator.start()
                async with asyncio.TaskGroup() as tasks:
                    practice = PracticeTarget(house.engines.voices[EMBEDDED_VOICE])
                    register = tasks.create_task(practice.run(house.register, [simulator]))
                    try:
                        caller = await place_call(house, simulator, script, keep, sessions=calls.sessions)
                    finally:
                        if calls.sessions:
                            _say_what_was_written(keep, terminal)
                    await simulator.stop()
                    register.cancel()
    return _how_it_went(script, caller.outcomes, terminal) or int(calls.app_given_up)


def _say_what_was_written(keep: Keep, terminal: Terminal) -> None:
    for path in (keep.recording, keep.log):
        if path is not None:
            terminal.line(f"written: {path}")


def _how_it_went(script: Sequence[Step], outcomes: Sequence[StepOutcome], terminal: Terminal) -> int:
    """Say what did not go as the script wanted; 1 when a turn was not said."""
    exit_code = turn = 0
    for step, outcome in zip(script, outcomes, strict=False):
        if isinstance(step, Say | SayText):
            turn += 1
            if outcome is not StepOutcome.DONE:
                exit_code = 1
                words = f" ({step.text!r})" if isinstance(step, SayText) else ""
                terminal.line(f"Turn {turn}{words} was not said to its end: the call was over.", "red")
        elif isinstance(step, WaitUntilQuiet) and outcome is StepOutcome.GAVE_UP:
            waits = f"{step.at_most_ms // 1000} s for it to speak, {step.speech_at_most_ms // 1000} s for its end"
            terminal.line(f"The caller waited for the assistant after turn {turn} no longer ({waits}).", "yellow")
    return exit_code
