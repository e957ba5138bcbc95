"""Writes docs/llms.txt and docs/llms-full.txt, the pages for coding assistants, from the pages for people.

    python .ci/assistant_pages.py [folder]        default: docs

`llms.txt` is an index (llmstxt.org): a title, what it is, and a link with a line for each page. `llms-full.txt` is what
somebody who writes an app needs, whole: the contract's words, how to write and test an app, and the examples.
"""

import re
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
DOORS: Final = {
    "Write an app": "docs/write-an-app",
    "Reference": "docs/reference",
    "Run the service": "docs/run-the-service",
    "Change the house": "docs/change-the-house",
}
WHAT: Final = (
    "Offhook answers the telephone: the open, self-hosted implementation of the AI Flow voice-assistant platform in "
    "Python. It sends events as JSON to your app over HTTP or WebSocket, and does the actions that your app answers."
)


def files() -> dict[str, str]:
    """Both pages by their names."""
    return {"llms.txt": _index(), "llms-full.txt": _whole()}


def pages(folder: str) -> list[Path]:
    """The pages of a folder, its README first."""
    return sorted((ROOT / folder).glob("*.md"), key=lambda page: (page.name != "README.md", page.name))


def summary(text: str) -> tuple[str, str]:
    """The title of a page, and its first sentence."""
    title = re.search(r"^# (.+)$", text, re.MULTILINE)
    body = text[title.end() :] if title else text
    prose = next((part for part in re.split(r"\n\s*\n", body) if part.strip() and part.strip()[0] not in "#`|:-"), "")
    flat = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(prose.split())).replace("*", "")
    sentence = re.match(r".+?[.:](?= |$)", flat)
    return (title[1] if title else ""), (sentence[0].rstrip(":") if sentence else flat)


def _index() -> str:
    lines = ["# Offhook", "", f"> {WHAT}", "", "Everything in one file: [llms-full.txt](llms-full.txt).", ""]
    for door, folder in DOORS.items():
        lines += [f"## {door}", ""]
        for page in pages(folder):
            title, about = summary(page.read_text(encoding="utf-8"))
            lines.append(f"- [{title}]({page.relative_to(ROOT / 'docs')}): {about}")
        lines.append("")
    return "\n".join(lines)


def _whole() -> str:
    wanted = (
        *pages("docs/write-an-app"),
        ROOT / "docs/reference/protocol.md",
        ROOT / "docs/change-the-house/contract.md",
        *sorted((ROOT / "examples").glob("*.py")),
    )
    return "\n".join([f"# Offhook\n\n> {WHAT}\n", *(_part(page) for page in wanted)])


def _part(page: Path) -> str:
    text = page.read_text(encoding="utf-8").strip()
    shown = f"```python\n{text}\n```" if page.suffix == ".py" else text
    return f"---\nfile: {page.relative_to(ROOT)}\n---\n\n{shown}\n"


def main() -> None:
    """Write both."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    for name, text in files().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
