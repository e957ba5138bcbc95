"""`offhook kamailio-config`: what Kamailio is told, for those who run it themselves."""

from pathlib import Path

from offhook.errors import SettingsInvalid
from offhook.service.commands.options import KamailioConfigOptions
from offhook.service.commands.terminal import Terminal
from offhook.service.kamailio_config import LIST_FILE, kamailio_files
from offhook.service.settings_file import load


def run(options: KamailioConfigOptions, terminal: Terminal) -> int:
    """Print it, or write it. Raises OffhookError."""
    files = kamailio_files(load(options.config), options.nodes, options.folder or Path())
    if options.folder is None:
        terminal.line(files.config)
        terminal.line(f"# ---- {LIST_FILE}")
        terminal.line(files.nodes)
        return 0
    try:
        config = files.write(options.folder)
    except OSError as refusal:
        raise SettingsInvalid(
            f"{options.folder} cannot be written: {refusal.strerror}.", remedy="Name another folder with --folder."
        ) from refusal
    terminal.line(f"Written: {config} and {LIST_FILE}. Run it, and the nodes:")
    terminal.line(f"kamailio -DD -E -f {config}")
    terminal.line(f"offhook serve -c {options.config} --nodes {options.nodes} --without-kamailio")
    return 0
