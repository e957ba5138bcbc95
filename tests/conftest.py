"""Which tests run: those that ask real vendors (`vendors`) only where they are asked for by name, `-m vendors`."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "vendors" in config.option.markexpr:
        return
    asking = [item for item in items if item.get_closest_marker("vendors") is not None]
    if asking:
        config.hook.pytest_deselected(items=asking)
        items[:] = [item for item in items if item not in asking]
