"""`offhook dev`: the developer's assistant, served to real calls on this machine, every call shown as it goes."""

from offhook.service.app_process import RunningApp, answers, running_app
from offhook.service.commands.call_lines import CallLines
from offhook.service.commands.options import DevOptions
from offhook.service.commands.taken_places import http_refused, sip_refused
from offhook.service.commands.terminal import Terminal
from offhook.service.event_loop import run_in_loop
from offhook.service.log_setup import set_up
from offhook.service.own_engines import not_used, who_hears_and_speaks, with_engines_of
from offhook.service.practice_target import PracticeRoutes, PracticeTarget
from offhook.service.serving import serve
from offhook.service.settings import Logging, Settings
from offhook.service.settings_file import from_tree
from offhook.service.speech_settings import EMBEDDED_VOICE
from offhook.service.wiring import listeners, open_house


def run(options: DevOptions, terminal: Terminal) -> int:
    """Serve until Ctrl-C. Raises OffhookError when it cannot begin."""
    set_up(Logging(level="warning"))
    run_in_loop(_serve(options, terminal))
    return 0


def dev_settings(app: RunningApp, *, sip: tuple[str, ...], http: str, allow_from: tuple[str, ...] = ()) -> Settings:
    """Settings without a file: one flow for every number. Raises SettingsInvalid for an address that is none."""
    tree = {
        "http": {"listen": http},
        "sip": {"listen": list(sip), "allow_from": ["127.0.0.0/8", "::1/128", *allow_from]},
        "limits": {"drain_seconds": 0, "farewell_seconds": 3},
        "flow": [{"id": "dev", "app": app.url, "token": app.token, "numbers": ["*"]}],
    }
    return from_tree(tree, {}, source="the command line")


def how_to_call(settings: Settings) -> list[str]:
    """Lines that say where a softphone can dial."""
    addresses = [address for address in settings.sip.listen if address.transport == "udp"] or settings.sip.listen
    if not addresses:
        return ["No SIP: nobody can dial in."]
    host = "127.0.0.1" if addresses[0].host in {"0.0.0.0", "::"} else addresses[0].host  # noqa: S104
    return [f"Call it: dial sip:demo@{host}:{addresses[0].port} with any softphone on this machine (see README)."]


async def _serve(options: DevOptions, terminal: Terminal) -> None:
    def tell(text: str) -> None:
        for line in text.splitlines():
            terminal.line(line, "yellow")

    calls = CallLines(terminal, announce=True)
    async with running_app(options.app, reload=options.reload, token=options.token, tell=tell) as app:
        asked = dev_settings(app, sip=options.sip, http=options.http, allow_from=options.allow_from)
        settings = with_engines_of(asked, options.config, options.flow)
        refused = sip_refused(settings, "offhook dev") or http_refused(settings, "offhook dev")
        if refused is not None:
            raise refused
        answered = await answers(app.url)
        async with open_house(settings, watch=calls.watch, practice=PracticeRoutes()) as house:

            def ready() -> None:
                terminal.line(f"{options.app} answers." if answered else _nothing_yet(options.app))
                terminal.line(who_hears_and_speaks(settings.flows[0], settings))
                if (hint := not_used(options.config)) is not None:
                    terminal.line(hint, "yellow")
                for line in how_to_call(settings):
                    terminal.line(line)
                terminal.line(f"What is said in a call is kept in {settings.storage.call_logs}/ (offhook replay).")
                terminal.line("Ctrl-C ends it.")

            practice = PracticeTarget(house.engines.voices[EMBEDDED_VOICE])
            await serve(house, await listeners(settings, house.link), practice=practice, ready=ready)


def _nothing_yet(url: str) -> str:
    return f"Nothing answers at {url} yet: start the app. Until then callers get the apology."
