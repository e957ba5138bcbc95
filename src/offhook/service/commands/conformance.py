"""`offhook conformance`: the contract, played at a running app in any language. Needs nothing but the SDK."""

import asyncio
from pathlib import Path
from typing import Final

from offhook.errors import SettingsInvalid
from offhook.service.commands.options import ConformanceOptions
from offhook.service.commands.terminal import Terminal
from offhook.testing.conformance.aim import Aim
from offhook.testing.conformance.conformance_run import check_app
from offhook.testing.conformance.report_texts import as_json, as_junit, console_lines

EXIT_FOUND: Final = 1


def run(options: ConformanceOptions, terminal: Terminal) -> int:
    """Play, and report. The exit code is 1 when something is wrong or risky. Raises OffhookError when nothing can be
    played: no address, no such rule, a report that cannot be written."""
    aim = Aim(
        options.url,
        options.token,
        options.signing_secret,
        options.only,
        options.time_limit,
        options.calls,
        options.quiet_seconds,
    )
    if options.junit is not None:
        _written(options.junit, "")

    def told(title: str) -> None:
        if not options.json:
            terminal.line(f"  {title}", "grey")

    report = asyncio.run(check_app(aim, told))
    if options.junit is not None:
        _written(options.junit, as_junit(report))
    if options.json:
        for line in as_json(report).splitlines():
            terminal.line(line)
    else:
        terminal.line()
        for text, colour in console_lines(report):
            terminal.line(text, colour)
    return 0 if report.passed else EXIT_FOUND


def _written(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsInvalid(
            f"The report cannot be written to {file}: {error.strerror}.", remedy="Give a file that can be written."
        ) from error
