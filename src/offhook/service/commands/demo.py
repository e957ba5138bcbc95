"""`offhook demo`: everything embedded. A sample assistant, one spoken call to it, then the service for your calls."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from offhook.errors import OffhookError
from offhook.service.app_process import running_app
from offhook.service.commands.call_lines import CallLines
from offhook.service.commands.dev import dev_settings, how_to_call
from offhook.service.commands.options import DemoOptions
from offhook.service.commands.taken_places import http_refused, sip_refused
from offhook.service.commands.terminal import Terminal
from offhook.service.event_loop import run_in_loop
from offhook.service.log_setup import set_up
from offhook.service.practice_target import PracticeRoutes, PracticeTarget
from offhook.service.serving import serve
from offhook.service.setting_types import HostPort
from offhook.service.settings import Logging, Settings, Storage
from offhook.service.speech_settings import EMBEDDED_VOICE
from offhook.service.spoken_call import Keep, SpokenTexts, place_call
from offhook.service.wiring import House, open_house, sip_listeners
from offhook.transports.call_leg import Listener
from offhook.transports.simulator.listener import SimulatorListener
from offhook.transports.simulator.steps import Press, SayText, Step, Wait, WaitUntilQuiet, WaitUntilSpeaking

ASSISTANT: Final = "offhook.service.appointment_desk:assistant"
SCRIPT: Final[Sequence[Step]] = (
    WaitUntilSpeaking(200),
    Wait(3400),
    SayText("yes please"),  # interrupts the question after the greeting
    WaitUntilSpeaking(200),
    Wait(4200),
    Press("2"),  # the keypad choice, while the menu is still spoken
    WaitUntilQuiet(900),  # "One moment please", music, and the offer
    SayText("yes please"),
)


def run(options: DemoOptions, terminal: Terminal) -> int:
    """Place the call and serve until Ctrl-C. Raises OffhookError."""
    set_up(Logging(level="warning"))
    keep = Keep(options.folder / "demo-call.wav", options.folder / "demo-call.jsonl")
    keep.check()
    run_in_loop(_demo(options, keep, terminal))
    return 0


async def _demo(options: DemoOptions, keep: Keep, terminal: Terminal) -> None:
    calls = CallLines(terminal, number_from=2)
    terminal.line("Starting the sample assistant, the voice (espeak-ng) and the ear (pocketsphinx, English) …", "grey")
    with tempfile.TemporaryDirectory(prefix="offhook-demo-") as logs:
        async with running_app(ASSISTANT, reload=False) as app:
            settings = _with_logs(dev_settings(app, sip=options.sip, http=options.http), Path(logs))
            no_http = http_refused(settings, "offhook demo")
            if no_http is not None:
                settings = _with_any_port(settings)
            no_sip = None if options.once else sip_refused(settings, "offhook demo")
            async with open_house(settings, watch=calls.watch, practice=PracticeRoutes()) as house:
                simulator = SimulatorListener(SpokenTexts(house.engines.voices[EMBEDDED_VOICE]))
                listeners: list[Listener] = [simulator]
                if not options.once and no_sip is None:
                    listeners += await sip_listeners(settings, house.link)
                async with asyncio.TaskGroup() as tasks:
                    ready = asyncio.Event()
                    practice = PracticeTarget(house.engines.voices[EMBEDDED_VOICE])
                    serving = tasks.create_task(serve(house, listeners, practice=practice, ready=ready.set))
                    await ready.wait()
                    await _sample_call(house, simulator, keep, calls, terminal)
                    if options.once or no_sip is not None:
                        serving.cancel()
                    elif not serving.done() and house.register.accepts_calls:
                        _say_how_to_go_on(house.settings, no_http, terminal)
    if no_sip is not None:
        _say(no_sip, terminal)


def _with_logs(settings: Settings, folder: Path) -> Settings:
    return settings.model_copy(update={"storage": Storage(call_logs=folder)})


def _with_any_port(settings: Settings) -> Settings:
    listen = HostPort("127.0.0.1", 0)
    return settings.model_copy(update={"http": settings.http.model_copy(update={"listen": listen})})


async def _sample_call(
    house: House, simulator: SimulatorListener, keep: Keep, calls: CallLines, terminal: Terminal
) -> None:
    terminal.line("One spoken call (● caller, ○ assistant, → event to the app, ← its action, ⏱ where the time went):")
    await place_call(house, simulator, SCRIPT, keep, sessions=calls.sessions)
    terminal.line()
    terminal.line(f"{keep.recording}: the call, caller left, assistant right.", "green")
    terminal.line(f"{keep.log}: its log. Again through the core: offhook replay {keep.log}", "green")


def _say_how_to_go_on(settings: Settings, no_http: OffhookError | None, terminal: Terminal) -> None:
    for line in how_to_call(settings):
        terminal.line(line, "green")
    if no_http is not None:
        _say(no_http, terminal)
    terminal.line("The embedded ear knows English and short answers; a better engine is one setting away (README).")
    terminal.line("Ctrl-C ends it.")


def _say(error: OffhookError, terminal: Terminal) -> None:
    terminal.line(error.message, "yellow")
    terminal.line(error.remedy, "yellow")
