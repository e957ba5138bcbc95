"""Makes the documentation's site of files that are read in the repository: a hook of mkdocs.

Pages link to examples, to results, to other files of the repository: on the site these are pages of their own, made
from the files as they are. The navigation is the folders of docs/, so that a new page needs no entry anywhere.
"""

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(\]\()([^)#\s:]+)(#[^)\s]*)?\)")
DOORS = {
    "Write an app": "write-an-app",
    "Run the service": "run-the-service",
    "Change the house": "change-the-house",
    "Reference": "reference",
}
ALSO = {
    "change-the-house": ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md", "bench/RESULTS.md"]
}
LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json", ".js": "javascript", ".yml": "yaml", ".cfg": "text"}
LARGEST = 200_000


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation: three doors and the reference, each with the pages of its folder."""
    nav: list[Any] = [{"Offhook": "README.md"}]
    for title, folder in DOORS.items():
        pages = sorted((ROOT / "docs" / folder).glob("*.md"), key=lambda page: (page.name != "README.md", page.name))
        also = [_page_of(name) for name in ALSO.get(folder, ()) if (ROOT / name).exists()]
        nav.append({title: [f"{folder}/{page.name}" for page in pages] + also})
    config.nav = nav
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Pages for the files of the repository that any page links to, and for those that these link to."""
    waiting = [str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")]
    waiting += [name for names in ALSO.values() for name in names if (ROOT / name).exists()]
    known: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in known:
            continue
        known.add(name)
        path = ROOT / name
        if not name.startswith("docs/"):
            files.append(File.generated(config, _page_of(name), content=_content(path, name)))
        if name.endswith(".md"):
            waiting += [target for target in _targets(path.read_text(encoding="utf-8"), name) if _is_outside(target)]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links out of docs/ lead to those pages."""
    source = page.file.src_uri
    return markdown if source.startswith("repository/") else _linked(markdown, f"docs/{source}", source)


def _page_of(name: str) -> str:
    return f"repository/{name if name.endswith('.md') else name + '.md'}"


def _is_outside(name: str) -> bool:
    return not name.startswith("docs/") and (ROOT / name).exists()


def _targets(text: str, name: str) -> list[str]:
    return [_resolved(found[2], name) for found in LINK.finditer(text)]


def _resolved(link: str, name: str) -> str:
    """The file of the repository that a link in this one leads to."""
    return os.path.normpath(PurePosixPath(name).parent / link)


def _content(path: Path, name: str) -> str:
    if path.is_dir():
        inside = sorted(one for one in path.iterdir() if one.suffix in LANGUAGES)
        links = [f"- [{one.name}]({one.name})" for one in inside]
        return _linked(f"# {name}\n\n" + "\n".join(links) + "\n", f"{name}/-", _page_of(name))
    text = path.read_text(encoding="utf-8")[:LARGEST]
    if path.suffix == ".md":
        return _linked(text, name, _page_of(name))
    return f"# {name}\n\n````{LANGUAGES.get(path.suffix, 'text')}\n{text}\n````\n"


def _linked(text: str, name: str, page: str) -> str:
    """Links between files of the repository as links between pages; what has no page is left as a name."""

    def to_page(found: re.Match[str]) -> str:
        target = _resolved(found[2], name)
        if not (ROOT / target).exists():
            return found[0]
        if target == "docs" or (target.startswith("docs/") and (ROOT / target).is_dir()):
            target += "/README.md"
        there = target.removeprefix("docs/") if target.startswith("docs/") else _page_of(target)
        return f"{found[1]}{os.path.relpath(there, PurePosixPath(page).parent)}{found[3] or ''})"

    return LINK.sub(to_page, text)
