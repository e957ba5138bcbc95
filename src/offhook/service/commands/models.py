"""`offhook models`: which models are known, and getting them."""

import asyncio
from pathlib import Path
from typing import Final

import aiohttp

from offhook.errors import SettingsInvalid
from offhook.service.commands.options import ModelsOptions
from offhook.service.commands.terminal import Terminal
from offhook.service.model_catalogue import CATALOGUE, Model
from offhook.service.model_store import is_here, pull
from offhook.service.settings_file import load
from offhook.service.speech_settings import Speech

BAR: Final = 30


def run(options: ModelsOptions, terminal: Terminal) -> int:
    """List the models, or pull those that are named."""
    folder = options.folder or _folder_of(options.config)
    if not options.names:
        _show(folder, terminal)
        return 0
    asyncio.run(_pull([_model(name) for name in options.names], folder, terminal))
    return 0


def _folder_of(config: Path) -> Path:
    return load(config).speech.models if config.exists() else Speech().models


def _model(name: str) -> Model:
    found = next((model for model in CATALOGUE if model.name == name), None)
    if found is None:
        known = ", ".join(model.name for model in CATALOGUE)
        raise SettingsInvalid(f"There is no model '{name}' in the catalogue.", remedy=f"Known are: {known}.")
    return found


def _show(folder: Path, terminal: Terminal) -> None:
    for model in CATALOGUE:
        here = "here" if is_here(model, folder) else f"{model.megabytes} MB"
        terminal.line(f"{model.name:<12} {model.engine:<12} {here:>7}  {model.languages}. {model.licence}")
    terminal.line()
    terminal.line(
        f"Get one: offhook models pull NAME, into {folder}. A model of your own: its folder, in [speech.local.<name>]."
    )


async def _pull(models: list[Model], folder: Path, terminal: Terminal) -> None:
    def progress(name: str, there: int, whole: int) -> None:
        share = there / whole if whole else 1.0
        bar = "█" * round(share * BAR)
        terminal.progress(f"{bar:<{BAR}} {share:4.0%} of {whole / 1e6:.0f} MB  {name}")

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, connect=30)) as client:
        for model in models:
            home = await pull(model, folder, client, progress)
            terminal.progress("")
            terminal.line(f"{model.name} is in {home}. Licence: {model.licence}.", "green")
            for line in (f"[speech.local.my-{model.name}]", f'engine = "{model.engine}"', f'model = "{home}"'):
                terminal.line(line)
