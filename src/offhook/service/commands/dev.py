"""`offhook dev`: the developer's assistant, served to real calls on this machine, every call shown as it goes."""

from offhook.calls.timeline import Timeline
from offhook.protocol.session import Session
from offhook.service.app_process import RunningApp, running_app
from offhook.service.commands.options import DevOptions
from offhook.service.commands.terminal import Terminal
from offhook.service.event_loop import run_in_loop
from offhook.service.log_setup import set_up
from offhook.service.serving import serve
from offhook.service.settings import Logging, Settings
from offhook.service.settings_file import from_tree
from offhook.service.wiring import open_house, sip_listeners


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
    def watch(session: Session) -> Timeline:
        terminal.line(f"call {session.id} from {session.from_phone_number} to {session.to_phone_number}", "yellow")
        return Timeline(terminal.line)

    async with running_app(options.app, reload=options.reload, token=options.token) as app:
        settings = dev_settings(app, sip=options.sip, http=options.http, allow_from=options.allow_from)
        async with open_house(settings, watch=watch) as house:

            def ready() -> None:
                terminal.line(f"{options.app} answers.")
                for line in how_to_call(settings):
                    terminal.line(line)
                terminal.line("Ctrl-C ends it.")

            await serve(house, await sip_listeners(settings), ready=ready)
