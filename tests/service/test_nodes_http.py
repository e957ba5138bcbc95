"""The one page of metrics of several nodes."""

from offhook.control.metrics import Metric, as_text
from offhook.service.nodes_http import merged


def page(calls: float) -> str:
    return as_text(
        [
            Metric("offhook_calls_in_progress", "gauge", "Calls in progress.", calls),
            Metric("offhook_sip_refused_total", "counter", "Turned away.", 2, {"rule": "rate"}),
            Metric("offhook_line_loss", "histogram", "Loss.", 0.5, buckets=((1, 1), (float("inf"), 2))),
        ]
    )


def test_each_number_names_its_node_and_those_of_one_name_stand_together() -> None:
    assert merged({1: page(3), 2: page(4)}).splitlines() == [
        "# HELP offhook_calls_in_progress Calls in progress.",
        "# TYPE offhook_calls_in_progress gauge",
        'offhook_calls_in_progress{node="1"} 3',
        'offhook_calls_in_progress{node="2"} 4',
        "# HELP offhook_sip_refused_total Turned away.",
        "# TYPE offhook_sip_refused_total counter",
        'offhook_sip_refused_total{node="1",rule="rate"} 2',
        'offhook_sip_refused_total{node="2",rule="rate"} 2',
        "# HELP offhook_line_loss Loss.",
        "# TYPE offhook_line_loss histogram",
        'offhook_line_loss_bucket{node="1",le="1"} 1',
        'offhook_line_loss_bucket{node="1",le="+Inf"} 2',
        'offhook_line_loss_sum{node="1"} 0.5',
        'offhook_line_loss_count{node="1"} 2',
        'offhook_line_loss_bucket{node="2",le="1"} 1',
        'offhook_line_loss_bucket{node="2",le="+Inf"} 2',
        'offhook_line_loss_sum{node="2"} 0.5',
        'offhook_line_loss_count{node="2"} 2',
    ]
