"""What the pages show is what runs: snippets stand in files that tests run, settings load, commands parse."""

import importlib.util
import json
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from offhook import cli
from offhook.service.setting_mistakes import SettingsMistaken
from offhook.service.settings_file import from_tree

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
RUNS = [*sorted((ROOT / "examples").rglob("*.py")), *sorted((ROOT / "tests").rglob("*.py"))]
FROM_THE_PAGE = ROOT / "docs" / "write-an-app" / "README.md"
"""Whose app and its test are run by tests/testing/test_pytest_plugin.py as they stand there."""
REMARK = re.compile(r"  # .*$")
PLACE = re.compile(r"^# [\w./]+\.py$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """All blocks in these languages."""
    found_blocks: list[Block] = []
    for page in PAGES:
        content = page.read_text(encoding="utf-8")
        for found in FENCE.finditer(content):
            if found[2] in languages:
                line = content.count("\n", 0, found.start()) + 1
                found_blocks.append(Block(str(page.relative_to(ROOT)), line, found[2], found[3]))
    return found_blocks


def lines_of(text: str) -> list[str]:
    """Lines that say something, without their indent and the remark behind them."""
    lines = [REMARK.sub("", line).strip() for line in text.splitlines()]
    return [line for line in lines if line and not PLACE.match(line)]


@pytest.fixture(scope="session")
def running() -> list[str]:
    """Every file that a test runs, in the form in which blocks are looked for."""
    return ["\n" + "\n".join(lines_of(path.read_text(encoding="utf-8"))) + "\n" for path in RUNS]


def is_run_from_the_page(block: Block) -> bool:
    """Whether the test of the pytest plugin takes it out of the page."""
    first = next(one for one in blocks("python") if one.page == block.page)
    return block.page == str(FROM_THE_PAGE.relative_to(ROOT)) and (block == first or block.text.startswith("# "))


@pytest.mark.parametrize("block", [b for b in blocks("python") if not is_run_from_the_page(b)], ids=str)
def test_a_snippet_stands_in_a_file_that_runs(block: Block, running: list[str]) -> None:
    wanted = "\n" + "\n".join(lines_of(block.text)) + "\n"
    assert any(wanted in text for text in running), f"{block}: put these lines into an example or a test:\n{block.text}"


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_settings_that_are_shown_have_no_unknown_key_and_no_wrong_value(block: Block) -> None:
    tree = tomllib.loads(block.text)
    names = re.findall(r'"env:(\w+)"', block.text)
    try:
        from_tree(tree, dict.fromkeys(names, "a-secret-of-enough-length"))
    except SettingsMistaken as refusal:
        wrong = [mistake for mistake in refusal.mistakes if not _left_out(mistake.path, tree)]
        assert not wrong, f"{block}: {wrong}"


def _left_out(path: str, tree: object) -> bool:
    """Whether a mistake is that something is not there, as in a part of a file."""
    for key in re.findall(r"\w+", path):
        if isinstance(tree, list):
            if not key.isdigit() or int(key) >= len(tree):
                return True
            tree = tree[int(key)]
        elif isinstance(tree, dict):
            if key not in tree:
                return True
            tree = tree[key]
    return False


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_that_is_shown_is_json(block: Block) -> None:
    text = block.text.strip()
    try:
        json.loads(text)
    except json.JSONDecodeError:
        for line in text.splitlines():
            json.loads(line)


@pytest.mark.parametrize("block", [b for b in blocks("sh") if "offhook" in b.text], ids=str)
def test_commands_that_are_shown_exist(block: Block) -> None:
    parser = cli._parser()
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] and words[0].rpartition("/")[2] == "offhook":
            command = words[1 : next((at for at, word in enumerate(words) if word in {"|", "&&", ";", ">"}), None)]
            parser.parse_args(command)


@pytest.mark.parametrize("name", ["llms.txt", "llms-full.txt"])
def test_the_pages_for_assistants_are_those_for_people(name: str) -> None:
    found = importlib.util.spec_from_file_location("assistant_pages", ROOT / ".ci" / "assistant_pages.py")
    assert found is not None
    assert found.loader is not None
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == made.files()[name], "Run: make docs"
