"""Numbers that cost more than a call."""

import pytest

from offhook.service.special_ranges import special_range


@pytest.mark.parametrize(
    ("number", "prefix", "rule"),
    [
        ("+881612345678", "+881", "satellite"),
        ("+870773111111", "+870", "satellite"),
        ("+88213300655", "+882", "global_service"),
        ("+883510000000", "+883", "global_service"),
        ("+979123456789", "+979", "premium_rate"),
        ("+499001234567", "+49900", "premium_rate"),
        ("+491801234567", "+49180", "shared_cost"),
        ("+447012345678", "+4470", "personal_number"),
        ("+19005551234", "+1900", "premium_rate"),
        ("+12129761234", "+1212976", "premium_rate"),
        ("+18765551234", "+1876", "island"),
        ("+4911833", "+4911", "no_subscribers"),
        ("+49116117", "+4911", "no_subscribers"),
        ("+4910331", "+4910", "no_subscribers"),
        ("+49191123", "+4919", "no_subscribers"),
        ("+44118500", "+441185", "no_subscribers"),
    ],
)
def test_the_range_is_named_by_its_shortest_prefix(number: str, prefix: str, rule: str) -> None:
    found = special_range(number)
    assert found is not None
    assert (found.prefix, found.rule) == (prefix, rule)


@pytest.mark.parametrize("number", ["+4990012", "+49900123456789012", "+4990010", "+491371234567890"])
def test_a_number_of_no_known_length_is_judged_by_how_it_begins(number: str) -> None:
    assert special_range(number) is not None


@pytest.mark.parametrize(
    "number",
    ["+4921155660", "+4915112345678", "+12125551234", "+14165551234", "+17875551234", "+447912345678", "+8613800138000",
     "+8801712345678", "+886223456789", "+498001234567", "+49211556601234", "+492111", "+498912", "+3312345"],
)  # fmt: skip
def test_ordinary_numbers_are_in_no_range(number: str) -> None:
    assert special_range(number) is None
