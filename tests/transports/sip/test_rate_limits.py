"""Token buckets: bursts, averages, and a table that does not grow."""

from hypothesis import given
from hypothesis import strategies as st

from offhook.transports.sip.rate_limits import TokenBuckets


def test_a_quiet_source_has_a_burst_and_then_the_average() -> None:
    buckets = TokenBuckets(per_second=2, burst=3)
    assert [buckets.take("a", 0) for _ in range(5)] == [True, True, True, False, False]
    assert [buckets.take("a", 500), buckets.take("a", 501)] == [True, False]
    assert [buckets.take("a", 60_000) for _ in range(4)] == [True, True, True, False]


def test_sources_do_not_take_from_each_other() -> None:
    buckets = TokenBuckets(per_second=1, burst=1)
    assert buckets.take("a", 0)
    assert not buckets.take("a", 0)
    assert buckets.take("b", 0)


def test_asking_whether_takes_nothing() -> None:
    buckets = TokenBuckets(per_second=1, burst=1)
    assert buckets.has("a", 0)
    assert buckets.has("a", 0)
    assert buckets.take("a", 0)
    assert not buckets.has("a", 0)


def test_the_table_forgets_who_was_quiet_the_longest() -> None:
    buckets = TokenBuckets(per_second=1, burst=1, max_sources=2)
    assert buckets.take("a", 0)
    assert buckets.take("b", 1)
    assert not buckets.take("a", 2)
    assert buckets.take("c", 3)
    assert len(buckets) == 2
    assert not buckets.take("a", 4)
    assert buckets.take("b", 5)


@given(st.lists(st.integers(min_value=0, max_value=400), max_size=200))
def test_never_more_than_the_burst_and_the_average_of_the_time(gaps: list[int]) -> None:
    buckets = TokenBuckets(per_second=5, burst=10)
    now = taken = 0
    for gap in gaps:
        now += gap
        taken += buckets.take("a", now)
    assert taken <= 10 + now * 5 / 1000 + 1e-6
