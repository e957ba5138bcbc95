"""Whatever an app sends, it is judged: nothing that comes over the wire raises."""

import json

from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.actions import ACTION_TYPES
from offhook.testing.conformance.answer_judge import judge

FIELDS = sorted({name for model in ACTION_TYPES.values() for name in model.model_fields} | {"provider", "error"})
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
TELLING = st.sampled_from(
    ["azure", "<speak>", "<speak>a & b", "0211 55", "immediate", "UklGRgAAAABXQVZF", "en-US", "x"]
)
VALUES = st.recursive(
    SCALARS | TELLING,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["provider", "voice", "language", "strategy", "id"]), inner, max_size=3)
    ),
    max_leaves=5,
)
ACTIONS = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from([*ACTION_TYPES, "say", "user_speak"]),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6),
)


@given(st.binary(max_size=200))
def test_any_bytes_are_judged(body: bytes) -> None:
    judge(body, "s")


@given(ACTIONS | st.lists(ACTIONS | VALUES, max_size=4))
def test_any_actions_are_judged(answer: object) -> None:
    judgement = judge(json.dumps(answer).encode(), "s")
    assert all(complaint.rule.number and complaint.what for complaint in judgement.complaints)


def test_what_is_nested_too_deeply_is_judged() -> None:
    deep = "[" * 100_000
    for body in (deep, json.dumps(deep), json.dumps([deep])):
        assert judge(body.encode(), "s").actions == ()
