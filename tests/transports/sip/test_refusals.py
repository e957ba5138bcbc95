"""The book of refusals: exact counts, few lines, few records."""

from offhook.transports.sip.refusals import LINE_AGAIN_MS, MAX_LINES, MAX_RECORDS, REMEDIES, RefusalBook, Rule


def test_every_rule_has_a_count_and_a_remedy() -> None:
    assert RefusalBook().counted == dict.fromkeys(Rule, 0)
    assert set(REMEDIES) == set(Rule)
    assert "sip.allow_from" in REMEDIES[Rule.STRANGER]
    assert "limits.trunk_requests_per_second" in REMEDIES[Rule.RATE]


def test_a_source_gets_a_line_at_once_and_then_one_a_minute_with_what_came_between() -> None:
    book = RefusalBook()
    lines = [book.note("203.0.113.9", Rule.STRANGER, now, "INVITE") for now in range(0, LINE_AGAIN_MS + 1, 100)]
    written = [line for line in lines if line is not None]
    assert [(line.source, line.count, line.who) for line in written] == [
        ("203.0.113.9", 1, "INVITE"),
        ("203.0.113.9", LINE_AGAIN_MS // 100, "INVITE"),
    ]
    assert book.counted[Rule.STRANGER] == LINE_AGAIN_MS // 100 + 1


def test_every_wrong_password_is_a_line() -> None:
    book = RefusalBook()
    lines = [book.note("203.0.113.9", Rule.WRONG_PASSWORD, now, "alice") for now in range(5)]
    assert [line.count for line in lines if line is not None] == [1] * 5


def test_many_sources_get_few_lines_and_no_rule_takes_those_of_another() -> None:
    book = RefusalBook()
    lines = [book.note(f"2001:db8::{number:x}", Rule.STRANGER, 0) for number in range(MAX_RECORDS + 500)]
    assert sum(line is not None for line in lines) == MAX_LINES
    assert book.note("203.0.113.9", Rule.WRONG_PASSWORD, 0, "alice") is not None
    assert book.note("203.0.113.9", Rule.STRANGER, LINE_AGAIN_MS) is not None
    assert len(book) == MAX_RECORDS
    assert book.counted[Rule.STRANGER] == MAX_RECORDS + 501
