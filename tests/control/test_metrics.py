"""Prometheus' text format."""

from offhook.control.metrics import Metric, as_text


def test_metrics_of_one_name_stand_together_below_their_help() -> None:
    text = as_text(
        [
            Metric("calls_total", "counter", "Calls.", 3, {"flow": "a"}),
            Metric("rows", "gauge", "Rows.", 0.5),
            Metric("calls_total", "counter", "Calls.", 4, {"flow": "b"}),
        ]
    )
    assert text == (
        "# HELP calls_total Calls.\n# TYPE calls_total counter\n"
        'calls_total{flow="a"} 3\ncalls_total{flow="b"} 4\n'
        "# HELP rows Rows.\n# TYPE rows gauge\nrows 0.5\n"
    )


def test_large_counters_keep_their_digits() -> None:
    assert "\nx 12345678\n" in as_text([Metric("x", "counter", "X.", 12345678)])


def test_labels_are_quoted() -> None:
    text = as_text([Metric("x", "gauge", "One\nline.", 1, {"name": 'a"b\\c\n'})])
    assert 'x{name="a\\"b\\\\c\\n"} 1\n' in text
    assert "# HELP x One\\nline.\n" in text


def test_nothing_is_an_empty_page() -> None:
    assert as_text([]) == ""


def test_a_histogram_is_its_buckets_its_sum_and_its_count() -> None:
    buckets = ((1.0, 2), (2.5, 3), (float("inf"), 4))
    text = as_text([Metric("delay", "histogram", "Delays.", 7.5, {"codec": "PCMA"}, buckets)])
    assert text == (
        "# HELP delay Delays.\n# TYPE delay histogram\n"
        'delay_bucket{codec="PCMA",le="1"} 2\ndelay_bucket{codec="PCMA",le="2.5"} 3\n'
        'delay_bucket{codec="PCMA",le="+Inf"} 4\n'
        'delay_sum{codec="PCMA"} 7.5\ndelay_count{codec="PCMA"} 4\n'
    )
