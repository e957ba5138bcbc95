"""Which tests run: those that ask real vendors (`vendors`) only where they are asked for by name, `-m vendors`; and
what a test leaves behind: no level of the log."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def level_of_the_log() -> Iterator[None]:
    """A command that a test runs may set it, for the process."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "vendors" in config.option.markexpr:
        return
    asking = [item for item in items if item.get_closest_marker("vendors") is not None]
    if asking:
        config.hook.pytest_deselected(items=asking)
        items[:] = [item for item in items if item not in asking]
