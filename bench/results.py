"""Where what was measured is kept: a section a benchmark in RESULTS.md, and its numbers as JSON, to draw them again."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
PAGE: Final = HERE / "RESULTS.md"
HEAD: Final = "# Results of the benchmarks\n\nEach is one command; run it again.\n\n"


def machine() -> str:
    """What this ran on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    kernel = f"{platform.system()} {platform.release()}"
    return f"{cpu}, {os.cpu_count()} cores, {kernel}, Python {platform.python_version()}"


def today() -> str:
    """The date, as results name it."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def median_of(form: str, values: Sequence[float]) -> str:
    """A cell: the median, and from the least to the most when they differ."""
    cell, low, high = (form.format(value) for value in (statistics.median(values), min(values), max(values)))
    return cell if low == high else f"{cell} ({low.removeprefix('≤ ')} to {high.removeprefix('≤ ')})"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """As Markdown."""
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines) + "\n"


def write_section(title: str, text: str, page: Path = PAGE) -> None:
    """Put `text` below `## title`, in the place of what stood there, else at the end."""
    old = page.read_text(encoding="utf-8") if page.exists() else HEAD
    before, found, rest = old.partition(f"## {title}\n")
    _, more, following = rest.partition("\n## ")
    section = f"## {title}\n\n{text.strip()}\n"
    if not found:
        before = before.rstrip("\n") + "\n\n"
    page.write_text(before + section + (f"\n## {following}" if more else ""), encoding="utf-8")


def keep(file: Path, name: str, content: dict[str, Any]) -> None:
    """Keep the numbers of one series in a file of several, in the place of earlier ones."""
    kept = kept_in(file) | {name: content}
    file.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def kept_in(file: Path) -> dict[str, Any]:
    """All series of a file; none when there is no such file."""
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found
