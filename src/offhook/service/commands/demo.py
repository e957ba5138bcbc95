"""`offhook demo`: everything embedded. A sample assistant, one spoken call to it, then the service for your calls."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from offhook.calls.timeline import Timeline
from offhook.protocol.session import Session
from offhook.service.app_process import running_app
from offhook.service.commands.dev import dev_settings, how_to_call
from offhook.service.commands.options import DemoOptions
from offhook.service.commands.terminal import Terminal
from offhook.service.event_loop import run_in_loop
from offhook.service.log_setup import set_up
from offhook.service.serving import serve
from offhook.service.settings import Logging, Settings, Storage
from offhook.service.spoken_call import Keep, SpokenTexts, place_call
from offhook.service.wiring import EMBEDDED_VOICE, House, open_house, sip_listeners
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
    run_in_loop(_demo(options, terminal))
    return 0


async def _demo(options: DemoOptions, terminal: Terminal) -> None:
    sessions: list[str] = []

    def watch(session: Session) -> Timeline:
        sessions.append(session.id)
        return Timeline(terminal.line)

    terminal.line("Starting the sample assistant, the voice (espeak-ng) and the ear (pocketsphinx, English) …", "grey")
    with tempfile.TemporaryDirectory(prefix="offhook-demo-") as logs:
        async with running_app(ASSISTANT, reload=False) as app:
            settings = _with_logs(dev_settings(app, sip=options.sip, http=options.http), Path(logs))
            async with open_house(settings, watch=watch) as house:
                simulator = SimulatorListener(SpokenTexts(house.engines.voices[EMBEDDED_VOICE]))
                listeners: list[Listener] = [simulator]
                if not options.once:
                    listeners += await sip_listeners(settings)
                await _call_and_serve(options, terminal, house, simulator, listeners, sessions)


def _with_logs(settings: Settings, folder: Path) -> Settings:
    return settings.model_copy(update={"storage": Storage(call_logs=folder)})


async def _call_and_serve(
    options: DemoOptions,
    terminal: Terminal,
    house: House,
    simulator: SimulatorListener,
    listeners: Sequence[Listener],
    sessions: list[str],
) -> None:
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(serve(house, listeners, ready=ready.set))
        await ready.wait()
        keep = Keep(options.folder / "demo-call.wav", options.folder / "demo-call.jsonl")
        terminal.line(
            "One spoken call (● caller, ○ assistant, → event to the app, ← its action, ⏱ where the time went):"
        )
        await place_call(house, simulator, SCRIPT, keep, sessions=sessions)
        terminal.line()
        terminal.line(f"{keep.recording}: the call, caller left, assistant right.", "green")
        terminal.line(f"{keep.log}: its log. Again through the core: offhook replay {keep.log}", "green")
        if options.once:
            serving.cancel()
            return
        for line in how_to_call(house.settings):
            terminal.line(line, "green")
        terminal.line("The embedded ear knows English and short answers; a better engine is one setting away (README).")
        terminal.line("Ctrl-C ends it.")
        await serving
