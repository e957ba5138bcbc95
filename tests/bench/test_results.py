"""Where results are kept."""

from pathlib import Path

from bench.results import HEAD, keep, kept_in, median_of, table, write_section


def test_a_section_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    write_section("one", "first", page)
    write_section("two", "second", page)
    write_section("one", "third\n\nand more\n", page)
    assert page.read_text() == f"{HEAD}## one\n\nthird\n\nand more\n\n## two\n\nsecond\n"


def test_a_title_that_begins_like_another_is_another(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    write_section("load, ramp", "first", page)
    write_section("load", "second", page)
    assert page.read_text() == f"{HEAD}## load, ramp\n\nfirst\n\n## load\n\nsecond\n"


def test_series_are_kept_side_by_side(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    keep(file, "ramp", {"rows": [1]})
    keep(file, "soak", {"rows": [2]})
    keep(file, "ramp", {"rows": [3]})
    assert kept_in(file) == {"ramp": {"rows": [3]}, "soak": {"rows": [2]}}


def test_a_cell_is_the_median_with_the_least_and_the_most() -> None:
    assert median_of("{:.1f}", [3, 1, 2]) == "2.0 (1.0 to 3.0)"
    assert median_of("≤ {:g}", [5.0, 10.0]) == "≤ 7.5 (5 to 10)"
    assert median_of("{:.0f}", [0, 0]) == "0"


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
