"""Numbers for monitoring, in the text format of Prometheus 0.0.4."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Metric:
    """One number with its name and its meaning; `labels` tell several of one name apart. A counter only ever rises. A
    histogram's value is the sum, its `buckets` are how many values were at most each limit, the last one infinite."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    about: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    buckets: tuple[tuple[float, int], ...] = ()


class MetricsSource(Protocol):
    """Whoever has numbers to show."""

    def metrics(self) -> Iterable[Metric]:
        """The numbers as they are now."""


def as_text(metrics: Iterable[Metric]) -> str:
    """The page that Prometheus fetches: metrics of one name together, below their help and type."""
    by_name: dict[str, list[Metric]] = {}
    for metric in metrics:
        by_name.setdefault(metric.name, []).append(metric)
    lines: list[str] = []
    for name, family in by_name.items():
        lines.append(f"# HELP {name} {_one_line(family[0].about)}")
        lines.append(f"# TYPE {name} {family[0].kind}")
        for metric in family:
            lines += _histogram(metric) if metric.kind == "histogram" else [_sample(name, metric.labels, metric.value)]
    return "".join(f"{line}\n" for line in lines)


def _histogram(metric: Metric) -> list[str]:
    lines = []
    for limit, count in metric.buckets:
        le = "+Inf" if limit == float("inf") else _number(limit)
        lines.append(_sample(f"{metric.name}_bucket", {**metric.labels, "le": le}, count))
    lines.append(_sample(f"{metric.name}_sum", metric.labels, metric.value))
    lines.append(_sample(f"{metric.name}_count", metric.labels, metric.buckets[-1][1] if metric.buckets else 0))
    return lines


def _sample(name: str, labels: Mapping[str, str], value: float) -> str:
    return f"{name}{_labels(labels)} {_number(value)}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    quoted = (f'{name}="{_one_line(value).replace(chr(34), chr(92) + chr(34))}"' for name, value in labels.items())
    return "{" + ",".join(quoted) + "}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _one_line(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
