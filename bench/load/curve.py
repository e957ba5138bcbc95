"""The cost curve: python bench/load/curve.py draws bench/load_curve.png from bench/load_results.json.

CPU in % of a core and the gap between packets at p99, against the number of calls: whole conversations, and media alone
(bench/media_clock.py). Points are medians, bars go from the least to the most.
"""

import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(ROOT), str(ROOT / "src")]

from bench.results import kept_in  # noqa: E402

KEPT: Final = ROOT / "bench" / "load_results.json"
CURVE: Final = ROOT / "bench" / "load_curve.png"
LARGEST_BYTES: Final = 100_000

Pick = Callable[[dict[str, Any]], float | None]


def draw(kept: Path, image: Path) -> None:
    """Draw what is kept. Raises SystemExit with what to install when the drawing library is missing."""
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise SystemExit("The curve is not drawn. Remedy: pip install -e '.[bench]'") from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    found = kept_in(kept)
    figure, (cost, gap) = plt.subplots(2, 1, sharex=True, figsize=(8, 7))
    whole, media = _rows(found, "ramp"), _rows(found, "media_clock")
    for axis, rows, name, style, pick in (
        (cost, whole, "whole node", "o-", lambda run: run["node_cpu"]),
        (cost, whole, "its service process", "s--", lambda run: run["cpu"]["service"]),
        (cost, whole, "its media process", "^--", lambda run: run["cpu"]["media"]),
        (cost, media, "media alone", "d-", lambda run: run["cpu_percent"]),
        (gap, whole, "whole conversations", "o-", lambda run: run["gaps_ms"]["99"]),
        (gap, media, "media alone", "d-", lambda run: run["gaps"]["p99"]),
    ):
        _line(axis, rows, name, style, pick)
    cost.set_ylabel("CPU, % of a core")
    gap.set_ylabel("gap between packets, p99, ms")
    gap.set_xlabel("calls at once")
    cost.set_title("What calls cost (bench/load ramp, bench/media_clock.py)")
    for axis in (cost, gap):
        axis.grid(alpha=0.3)
        axis.legend()
    figure.tight_layout()
    figure.savefig(image, dpi=80)
    plt.close(figure)
    if image.stat().st_size > LARGEST_BYTES:
        raise SystemExit(f"{image} is larger than {LARGEST_BYTES} bytes. Remedy: fewer points, or a lower dpi.")


def _rows(found: dict[str, Any], name: str) -> Sequence[dict[str, Any]]:
    rows: Sequence[dict[str, Any]] = found.get(name, {}).get("rows", [])
    return sorted(rows, key=lambda row: row["calls"])


def _line(axis: Any, rows: Sequence[dict[str, Any]], name: str, style: str, pick: Pick) -> None:
    points = []
    for row in rows:
        values = [value for run in row["runs"] if (value := pick(run)) is not None]
        if values:
            middle = statistics.median(values)
            points.append((row["calls"], middle, middle - min(values), max(values) - middle))
    if points:
        calls, middles, below, above = zip(*points, strict=True)
        axis.errorbar(calls, middles, yerr=(below, above), fmt=style, label=name, capsize=3)


if __name__ == "__main__":
    draw(KEPT, CURVE)
